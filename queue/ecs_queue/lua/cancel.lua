-- ARGV: 5 reason, then ids.
-- Answers one word each: NONE, CANCELLED, REQUESTED, or the terminal state reached before.
local REASON = ARGV[5]

-- A child that was not handed out yet: it never will be.
local function cancel_waiting_child(parent, index)
  local state = child_state(parent, index)
  if state ~= 'RUNNABLE' and state ~= 'PENDING' then
    return state
  end
  local id = parent .. ':' .. int(index)
  report(id, 'CANCELLED', REASON)
  count_child(parent, index, 'CANCELLED', '', REASON)
  tell_of(id)
  return 'CANCELLED'
end

local function cancel_one(id, state)
  local key = job_key(id)
  if state == 'RUNNABLE' or state == 'PENDING' then
    call('HSET', key, 'c', REASON)
    end_job(id, state, 'CANCELLED', REASON)
    take_out(id)  -- last: a script that fails half-way leaves no job that waits nowhere
    return 'CANCELLED'
  elseif state == 'STARTING' or state == 'RUNNING' then
    call('HSETNX', key, 'c', REASON)
    call('SADD', CANCELS, id)
    return 'REQUESTED'
  end
  return state
end

-- Ends what was not handed out, then each child that was; the last one's end is the array's.
local function cancel_array(id, state)
  if state ~= 'RUNNABLE' and state ~= 'PENDING' and state ~= 'RUNNING' then
    return state
  end
  local children, states = call('SMEMBERS', alive_key(id)), {}
  for i, index in ipairs(children) do
    states[i] = call('HGET', job_key(id .. ':' .. index), 's')
  end
  ended_children(id)  -- what cannot be read ends the script before the first write
  call('HSETNX', job_key(id), 'c', REASON)
  end_rest(id, state, 'CANCELLED', REASON)
  for i, index in ipairs(children) do
    cancel_one(id .. ':' .. index, states[i])
  end
  take_out(id)  -- last, as above
  return call('SCARD', alive_key(id)) == 0 and 'CANCELLED' or 'REQUESTED'
end

local answer = {}
for i = 6, #ARGV do
  local id = ARGV[i]
  unfold(id)
  local job = call('HMGET', job_key(id), 's', 'N')
  local parent, index = nil, nil
  if not job[1] then
    parent, index = child_of(id)
  end
  if parent then
    answer[#answer + 1] = cancel_waiting_child(parent, index)
  elseif not job[1] then
    answer[#answer + 1] = 'NONE'
  elseif job[2] then
    answer[#answer + 1] = cancel_array(id, job[1])
  else
    answer[#answer + 1] = cancel_one(id, job[1])
  end
end
return answer
