-- ARGV: 5 owner, 6 cluster. Ends its lead and its lease; answers how many claims went back.
local leader_key = PREFIX .. 'leader:' .. ARGV[6]
if call('HGET', leader_key, 'owner') == ARGV[5] then
  call('HDEL', leader_key, 'owner', 'until')
end
call('ZREM', PREFIX .. 'candidates:' .. ARGV[6], ARGV[5])
return give_back(ARGV[5])
