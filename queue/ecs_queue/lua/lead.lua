-- ARGV: 5 owner, 6 cluster, 7 lease in ms. Answers the fencing number while the owner leads, or nil.
--
-- One owner leads at a time. Taking over ends the claims of whoever led before, so that every script
-- that names them refuses; a new fencing number tells a leader that it was none for a while.
local owner, leader_key, lease_ms = ARGV[5], PREFIX .. 'leader:' .. ARGV[6], tonumber(ARGV[7])
local leader = call('HMGET', leader_key, 'owner', 'until', 'fence')
local alive = leader[1] and tonumber(leader[2]) > NOW and has_lease(leader[1])
if alive and leader[1] ~= owner then
  return false
end
local fence = leader[3]
if not alive then
  if leader[1] then
    give_back(leader[1])
  end
  give_back(owner)
  fence = call('HINCRBY', leader_key, 'fence', 1)
end
local until_ms = int(NOW + lease_ms)
call('HSET', leader_key, 'owner', owner, 'until', until_ms)
call('ZADD', OWNERS, until_ms, owner)
return tonumber(fence)
