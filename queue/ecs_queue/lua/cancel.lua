-- ARGV: 5 reason, then ids.
-- Answers one word each: NONE, CANCELLED, REQUESTED, or the terminal state reached before.
local answer = {}
for i = 6, #ARGV do
  local id = ARGV[i]
  local key = job_key(id)
  local state = call('HGET', key, 's')
  if not state then
    answer[#answer + 1] = 'NONE'
  elseif state == 'RUNNABLE' then
    take_out(id)
    call('HSET', key, 'c', ARGV[5])
    end_job(id, state, 'CANCELLED', ARGV[5])
    answer[#answer + 1] = 'CANCELLED'
  elseif state == 'PENDING' then
    call('HSET', key, 'c', ARGV[5])
    end_job(id, state, 'CANCELLED', ARGV[5])
    answer[#answer + 1] = 'CANCELLED'
  elseif state == 'STARTING' or state == 'RUNNING' then
    call('HSETNX', key, 'c', ARGV[5])
    call('SADD', CANCELS, id)
    answer[#answer + 1] = 'REQUESTED'
  else
    answer[#answer + 1] = state
  end
end
return answer
