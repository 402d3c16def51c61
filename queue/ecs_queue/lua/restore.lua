-- ARGV: pairs: job id, task ARN. Launches that a scheduler remembers and the queue forgot: where the
-- job waits, it has been started as this task. A member of a gang starts with the others again instead.
-- Answers how many are in the books now.
local restored = 0
for i = 5, #ARGV, 2 do
  local id, task = ARGV[i], ARGV[i + 1]
  local key = job_key(id)
  unfold(id)
  local job = call('HMGET', key, 's', 'n', 'G')
  local launches = tonumber(job[2] or '0') + 1
  if job[1] == 'RUNNABLE' and not is_known_task(task) and not (job[3] and bound(job[3])) then
    call('HSET', key, 's', 'STARTING', 'a', task, 'g', NOW_TEXT, 'n', int(launches))
    was_launched(id)
    call('HSET', LIVE, task, id)
    call('ZADD', IN.STARTING, NOW_TEXT, id)
    call('HDEL', key, 'w', 'v')
    call('ZREM', DUE, id)
    take_out(id)
    report(id, 'STARTING', 'restored')
  end
  restored = restored + (call('HGET', LIVE, task) == id and 1 or 0)
end
return restored
