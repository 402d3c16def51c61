-- ARGV: ids. Answers the state of each, '' for none.
local answer = {}
for i = 5, #ARGV do
  answer[#answer + 1] = look_at(ARGV[i]) or ''
end
return answer
