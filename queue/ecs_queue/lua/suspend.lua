-- ARGV: 5 reason, then ids. What is said of an array holds for its children under way too.
-- Answers one word each: NONE, SUSPENDED, LATER (if it becomes RUNNABLE), or the terminal state.
local function suspend(id)
  local key = job_key(id)
  unfold(id)
  local state = call('HGET', key, 's')
  if state == 'RUNNABLE' then
    if call('HEXISTS', key, 'v') == 0 then
      local due = call('ZSCORE', DELAYED, id) or '0'
      take_out(id)
      call('HSET', key, 'v', due, 'w', 'suspended: ' .. ARGV[5])
      call('ZADD', SUSPENDED, call('HGET', key, 'o'), id)
    end
    return 'SUSPENDED'
  elseif state == 'PENDING' or state == 'STARTING' or state == 'RUNNING' then
    call('HSETNX', key, 'v', '0')
    return 'LATER'
  end
  return state or 'NONE'
end

return steer(6, suspend)
