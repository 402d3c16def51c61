-- ARGV: three a sighting: task ARN, ms, instance ARN ('' = not known).
for i = 5, #ARGV, 3 do
  local id, instance = call('HGET', LIVE, ARGV[i]), ARGV[i + 2]
  if id then
    local key = job_key(id)
    if instance ~= '' then
      call('HSET', key, 'z', instance)
    end
    if call('HGET', key, 's') == 'STARTING' then
      call('HSET', key, 's', 'RUNNING', 'u', ARGV[i + 1])
      local timeout_s = call('HGET', key, 'q')
      if timeout_s then
        call('ZADD', TIMEOUTS, int(tonumber(ARGV[i + 1]) + tonumber(timeout_s) * 1000), id)
      end
      call('ZREM', IN.STARTING, id)
      call('ZADD', IN.RUNNING, NOW_TEXT, id)
      report(id, 'RUNNING', '')
    end
  end
end
return 1
