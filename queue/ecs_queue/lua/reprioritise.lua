-- ARGV: 5 priority, then ids.
-- Answers one word each: NONE, MOVED (also where it had that priority), or the terminal state.
local answer = {}
for i = 6, #ARGV do
  local word = call('HGET', job_key(ARGV[i]), 's') or 'NONE'
  if word ~= 'NONE' and word ~= 'SUCCEEDED' and word ~= 'FAILED' and word ~= 'CANCELLED' then
    word = 'MOVED'
    move_to(ARGV[i], tonumber(ARGV[5]), '')
  end
  answer[#answer + 1] = word
end
return answer
