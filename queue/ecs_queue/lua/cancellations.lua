-- Answers three values a job whose cancellation is under way: id, task ARN, reason.
local answer = {}
for _, id in ipairs(call('SMEMBERS', CANCELS)) do
  local job = call('HMGET', job_key(id), 'a', 'c')
  answer[#answer + 1] = id
  answer[#answer + 1] = job[1] or ''
  answer[#answer + 1] = job[2] or ''
end
return answer
