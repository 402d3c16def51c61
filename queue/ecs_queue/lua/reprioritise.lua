-- ARGV: 5 priority, then ids. What is said of an array holds for its children under way too.
-- Answers one word each: NONE, MOVED (also where it had that priority), or the terminal state.
local priority = tonumber(ARGV[5])

local function move(id)
  unfold(id)
  local state = call('HGET', job_key(id), 's')
  if not is_open(state) then
    return state or 'NONE'
  end
  move_to(id, priority, '')
  call('HDEL', job_key(id), 'O')
  return 'MOVED'
end

return steer(6, move)
