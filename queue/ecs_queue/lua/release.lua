-- ARGV: 5 owner, then four a job: id, epoch, reason ('' = unchanged), delay in ms.
local owner = ARGV[5]
local places, ids, reasons = {}, {}, {}
for i = 6, #ARGV, 4 do
  local id, epoch, reason, delay_ms = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  if held(id, owner, epoch) then
    if reason ~= '' or delay_ms > 0 then
      unfold(id)
    end
    local job = call('HMGET', job_key(id), 'o', 'v', 'G')
    if job[2] or job[3] or delay_ms > 0 then
      call('HDEL', claimed_key(owner), id)
      to_queue(id, job[1] or score_of(id), delay_ms)
    else
      places[#places + 1] = job[1] or score_of(id)
      places[#places + 1] = id
      ids[#ids + 1] = id
    end
    if reason ~= '' then
      reasons[#reasons + 1] = id
      reasons[#reasons + 1] = reason
    end
  end
end
in_bulk('ZADD', READY, places)
in_bulk('HDEL', claimed_key(owner), ids)
for i = 1, #reasons, 2 do
  call('HSET', job_key(reasons[i]), 'w', reasons[i + 1])
end
return 1
