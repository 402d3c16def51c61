-- ARGV: ids. Answers the state of each, '' for none.
local answer = {}
for i = 5, #ARGV do
  answer[#answer + 1] = call('HGET', job_key(ARGV[i]), 's') or ''
end
return answer
