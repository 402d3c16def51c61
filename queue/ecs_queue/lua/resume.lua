-- ARGV: 5 and further: ids.
-- Answers one word each: NONE, RESUMED (also where it was not suspended), or the terminal state.
local answer = {}
for i = 5, #ARGV do
  local id = ARGV[i]
  local key = job_key(id)
  local job = call('HMGET', key, 's', 'v', 'o')
  local word = job[1] or 'NONE'
  if word ~= 'NONE' and word ~= 'SUCCEEDED' and word ~= 'FAILED' and word ~= 'CANCELLED' then
    word = 'RESUMED'
    call('HDEL', key, 'v')
    if call('ZREM', SUSPENDED, id) == 1 then
      call('HDEL', key, 'w')
      to_queue(id, job[3], math.max(0, tonumber(job[2]) - NOW))
    end
  end
  answer[#answer + 1] = word
end
return answer
