-- ARGV: 5 an ended state, 6 offset, 7 limit. Answers id, submitted ms, starting ms ('' = never) and ended
-- ms of each job, those that ended last first.
local first, answer = tonumber(ARGV[6]), {}
for _, id in ipairs(call('ZREVRANGE', IN[ARGV[5]], first, first + tonumber(ARGV[7]) - 1)) do
  local job = call('HMGET', job_key(id), 't', 'g', 'y')
  if job[1] then
    answer[#answer + 1] = id
    answer[#answer + 1] = job[1]
    answer[#answer + 1] = job[2] or ''
    answer[#answer + 1] = job[3] or ''
  end
end
return answer
