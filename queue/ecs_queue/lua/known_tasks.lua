-- ARGV: 5.. task ARNs. Answers those that are or were some job's task.
local answer = {}
for i = 5, #ARGV do
  if is_known_task(ARGV[i]) then
    answer[#answer + 1] = ARGV[i]
  end
end
return answer
