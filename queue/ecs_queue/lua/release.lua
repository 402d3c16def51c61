-- ARGV: 5 owner, then four a job: id, epoch, reason ('' = unchanged), delay in ms.
local owner = ARGV[5]
for i = 6, #ARGV, 4 do
  local id, epoch, reason = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if held(id, owner, epoch) then
    local key = job_key(id)
    call('HDEL', claimed_key(owner), id)
    if reason ~= '' then
      call('HSET', key, 'w', reason)
    end
    to_queue(id, call('HGET', key, 'o'), tonumber(ARGV[i + 3]))
  end
end
return 1
