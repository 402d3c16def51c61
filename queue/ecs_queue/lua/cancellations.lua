-- Answers three values a job whose task is to be stopped, because its cancellation was asked for, its
-- gang calls it back, or it ran longer than its timeout: id, task ARN, reason.
local answer = {}
for _, id in ipairs(call('SMEMBERS', CANCELS)) do
  local job = call('HMGET', job_key(id), 'a', 'c', 'B')
  answer[#answer + 1] = id
  answer[#answer + 1] = job[1] or ''
  answer[#answer + 1] = job[2] or job[3] or ''
end
for _, id in ipairs(call('ZRANGEBYSCORE', TIMEOUTS, '-inf', NOW_TEXT)) do
  local key = job_key(id)
  local job = call('HMGET', key, 'a', 'c', 'q')
  if not job[2] then
    call('HSETNX', key, 'e', 'timed out: it ran longer than its timeout_s of ' .. job[3])
    answer[#answer + 1] = id
    answer[#answer + 1] = job[1] or ''
    answer[#answer + 1] = call('HGET', key, 'e')
  end
end
return answer
