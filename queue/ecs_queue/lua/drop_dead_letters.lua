-- ARGV: entry ids. Answers for each whether it was there: 1 or 0.
local answer = {}
for i = 5, #ARGV do
  answer[#answer + 1] = call('XDEL', DEAD, ARGV[i])
end
return answer
