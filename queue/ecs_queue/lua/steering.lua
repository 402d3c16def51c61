-- What people say of waiting jobs and of arrays. Shared by every script, behind arrays.lua.
local function is_open(state)
  return state and state ~= 'SUCCEEDED' and state ~= 'FAILED' and state ~= 'CANCELLED'
end

-- What steering comes to for a child without keys of its own: its terminal state, or UNBORN.
local function steered_alone(id)
  local parent, index = child_of(id)
  if not parent then
    return 'NONE'
  end
  local state = child_state(parent, index)
  return is_open(state) and 'UNBORN' or state
end

-- Does the same to each id from this argument on, and to the children of arrays; answers the words
-- that it comes to for the ids.
local function steer(first, act)
  local answer = {}
  for i = first, #ARGV do
    local word = act(ARGV[i])
    answer[#answer + 1] = word == 'NONE' and steered_alone(ARGV[i]) or word
    for _, index in ipairs(call('SMEMBERS', alive_key(ARGV[i]))) do
      act(ARGV[i] .. ':' .. index)
    end
  end
  return answer
end
