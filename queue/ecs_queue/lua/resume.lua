-- ARGV: 5 and further: ids. What is said of an array holds for its children under way too.
-- Answers one word each: NONE, RESUMED (also where it was not suspended), or the terminal state.
local function resume(id)
  local key = job_key(id)
  unfold(id)
  local job = call('HMGET', key, 's', 'v', 'o')
  if not is_open(job[1]) then
    return job[1] or 'NONE'
  end
  call('HDEL', key, 'v')
  if call('ZREM', SUSPENDED, id) == 1 then
    call('HDEL', key, 'w')
    to_queue(id, job[3], math.max(0, tonumber(job[2]) - NOW))
  end
  return 'RESUMED'
end

return steer(5, resume)
