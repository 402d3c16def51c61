-- ARGV: 5 reason, then ids.
-- Answers one word each: NONE, SUSPENDED, LATER (if it becomes RUNNABLE), or the terminal state.
local answer = {}
for i = 6, #ARGV do
  local id = ARGV[i]
  local key = job_key(id)
  local state = call('HGET', key, 's')
  local word = state or 'NONE'
  if state == 'RUNNABLE' then
    word = 'SUSPENDED'
    if call('HEXISTS', key, 'v') == 0 then
      local due = call('ZSCORE', DELAYED, id) or '0'
      take_out(id)
      call('HSET', key, 'v', due, 'w', 'suspended: ' .. ARGV[5])
      call('ZADD', SUSPENDED, call('HGET', key, 'o'), id)
    end
  elseif state == 'PENDING' or state == 'STARTING' or state == 'RUNNING' then
    word = 'LATER'
    call('HSETNX', key, 'v', '0')
  end
  answer[#answer + 1] = word
end
return answer
