-- ARGV: three a sighting: task ARN, ms, instance ARN ('' = not known).
for i = 5, #ARGV, 3 do
  local id, instance = call('HGET', LIVE, ARGV[i]), ARGV[i + 2]
  if id then
    local key = job_key(id)
    local job = call('HMGET', key, 's', 'q', 'z')
    -- Before the first write: Redis takes nothing back when a script fails half-way.
    local due = job[2] and int(tonumber(ARGV[i + 1]) + tonumber(job[2]) * 1000)
    if instance ~= '' and instance ~= job[3] then
      call('HSET', key, 'z', instance)
    end
    if job[1] == 'STARTING' then
      call('HSET', key, 's', 'RUNNING', 'u', ARGV[i + 1])
      if due then
        call('ZADD', TIMEOUTS, due, id)
      end
      call('ZREM', IN.STARTING, id)
      call('ZADD', IN.RUNNING, NOW_TEXT, id)
      report(id, 'RUNNING', '')
    end
  end
end
return 1
