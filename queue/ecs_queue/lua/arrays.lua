
-- Arrays: what stands for their children. Shared by every script, behind past.lua.
--
-- A parent's hash holds N its size, I the next index to hand out, S | F | C how many children ended
-- so, Q if one child runs after the other, E the first failure. Only a child that was handed out and
-- has not ended has keys of its own, with P its parent and J its index; alive:<parent> is their set.
-- M is the array whose child i has to succeed before this one's child i (N_TO_N); free:<parent> lists
-- the indexes whose counterpart has, and followers:<id> the arrays that follow this one.
-- What is known of those that have ended: see past.lua.
local COUNTER = {SUCCEEDED = 'S', FAILED = 'F', CANCELLED = 'C'}

local function free_key(parent)
  return PREFIX .. 'free:' .. parent
end

local function followers_key(parent)
  return PREFIX .. 'followers:' .. parent
end

-- A bitmap of the children that have neither ended nor are under way, under a key to be deleted.
local function unborn(parent)
  local key, size = PREFIX .. 'bits:unborn:' .. parent, tonumber(call('HGET', job_key(parent), 'N'))
  call('BITOP', 'OR', key, bits_key(parent, 'SUCCEEDED'), bits_key(parent, 'FAILED'),
    bits_key(parent, 'CANCELLED'))
  for _, index in ipairs(call('SMEMBERS', alive_key(parent))) do
    call('SETBIT', key, index, 1)
  end
  local last = math.ceil(size / 8) * 8 - 1
  call('SETBIT', key, last, call('GETBIT', key, last))  -- as long as the array
  call('BITOP', 'NOT', key, key)
  for bit = size, last do
    call('SETBIT', key, bit, 0)
  end
  return key
end

-- S, F and C of a parent, and their sum.
local function ended_children(parent)
  local ended = call('HMGET', job_key(parent), 'S', 'F', 'C')
  local s, f, c = tonumber(ended[1] or '0'), tonumber(ended[2] or '0'), tonumber(ended[3] or '0')
  return s, f, c, s + f + c
end

-- All children of a parent have ended.
local function close(parent, from, why)
  local s, f, c, all = ended_children(parent)
  local job = call('HMGET', job_key(parent), 'c', 'E')
  local to = 'SUCCEEDED'
  if c > 0 and (job[1] or f == 0) then
    to, why = 'CANCELLED', why or job[1] or int(c) .. ' of ' .. int(all) .. ' children CANCELLED'
  elseif f > 0 then
    to = 'FAILED'
    why = why or int(f) .. ' of ' .. int(all) .. ' children FAILED; the first: ' .. job[2]
  end
  local led_by = call('HGET', job_key(parent), 'M')
  if led_by then
    call('SREM', followers_key(led_by), parent)
  end
  call('DEL', alive_key(parent), free_key(parent), followers_key(parent))
  call('SREM', ARRAYS, parent)
  for state in pairs(COUNTER) do
    call('EXPIRE', bits_key(parent, state), RETENTION_S)
  end
  for _, class in ipairs({'R', 'F', 'S'}) do
    call('DEL', PREFIX .. 'kept:' .. class .. ':' .. parent)
  end
  for _, key in ipairs({bits_key(parent, 'LAUNCHED'), why_key(parent), past_key(parent), results_key(parent)}) do
    call('EXPIRE', key, RETENTION_S)
  end
  finish_job(parent, from, to, why or '')
  forget_pasts(parent)
  tell_of(parent)
end

-- Closes a parent whose children have all ended; answers whether it is closed. It may be already, and
-- forgotten: what is told of a child's end can come back to its array, by way of a gang.
local function close_if_ended(parent)
  local job = call('HMGET', job_key(parent), 's', 'N')
  if not job[1] or OVER[job[1]] then
    return true
  end
  local _, _, _, ended = ended_children(parent)
  if ended < tonumber(job[2]) then
    return false
  end
  take_out(parent)
  close(parent, job[1])
  return true
end

-- No child is left to hand out, or none may be handed out now: the parent is RUNNING.
local function park(parent, from)
  call('HSET', job_key(parent), 's', 'RUNNING')
  call('HSETNX', job_key(parent), 'u', NOW_TEXT)
  if IN[from] then
    call('ZREM', IN[from], parent)
  end
  call('ZREM', DUE, parent)
  call('ZADD', IN.RUNNING, NOW_TEXT, parent)
  report(parent, 'RUNNING', '')
end

-- An array that follows another one is RUNNABLE while a child of it is free to go.
wake = function(parent)
  local job = call('HMGET', job_key(parent), 's', 'k', 'o', 'r')
  local waits = job[1] == 'RUNNING' or job[1] == 'PENDING' and not job[2]
  if waits and call('LLEN', free_key(parent)) > 0 then
    call('HSET', job_key(parent), 's', 'RUNNABLE')
    call('ZREM', IN[job[1]], parent)
    to_queue(parent, job[3], math.max(0, tonumber(job[4] or '0') - NOW))
  end
end

-- Children of a follower whose counterparts, the bits of `lost`, did not succeed: they never begin.
local function because(id, to, reason)
  if string.sub(reason, 1, 11) == 'dependency ' then
    return reason
  end
  return 'dependency ' .. id .. ' ' .. to .. ': ' .. reason
end

-- Notes that jobs wait for some of the children in a bitmap, which ended without having begun: at one
-- index, or anywhere ('rest'). Answers whether there are any, who are to be told then.
local function are_awaited(parent, ended, index)
  local first, last, ids = index, index, {}
  if index == 'rest' then
    first, last = 0, '(' .. call('HGET', job_key(parent), 'N')
  end
  for _, id in ipairs(call('ZRANGEBYSCORE', awaited_key(parent), first, last)) do
    if call('GETBIT', ended, string.match(id, '%d+$')) == 1 then
      ids[#ids + 1] = id
    end
  end
  in_bulk('RPUSH', UNTOLD, ids)
  return #ids > 0
end

local function lose(parent, lost, index, reason)
  local key = unborn(parent)
  call('BITOP', 'AND', key, key, lost)
  local number, awaited = call('BITCOUNT', key), false
  if number > 0 then
    call('BITOP', 'OR', bits_key(parent, 'FAILED'), bits_key(parent, 'FAILED'), key)
    call('HINCRBY', job_key(parent), 'F', number)
    note_why(parent, index, '', reason, reason)
    awaited = are_awaited(parent, key, index)
    for _, follower in ipairs(call('SMEMBERS', followers_key(parent))) do
      lose(follower, key, index, reason)
    end
    close_if_ended(parent)
  end
  call('DEL', key)
  if awaited then
    tell_dependents()
  end
end

-- Ends the children that were not handed out yet. The parent itself waits in no set any more.
end_rest = function(parent, from, to, reason)
  local key = job_key(parent)
  local size, _, _, _, ended = tonumber(call('HGET', key, 'N')), ended_children(parent)
  local alive, awaited = call('SCARD', alive_key(parent)), false
  local rest = size - ended - alive
  if rest > 0 then
    local lost = unborn(parent)
    call('BITOP', 'OR', bits_key(parent, to), bits_key(parent, to), lost)
    call('HINCRBY', key, COUNTER[to], int(rest))
    note_why(parent, 'rest', '', reason, to == 'FAILED' and reason)
    awaited = are_awaited(parent, lost, 'rest')
    for _, follower in ipairs(call('SMEMBERS', followers_key(parent))) do
      lose(follower, lost, 'rest', because(parent, to, reason))
    end
    call('DEL', lost)
  end
  local state = call('HGET', key, 's')
  if not state or OVER[state] then
    return  -- it came back, as in close_if_ended: by way of a follower
  end
  call('HSET', key, 'I', int(size))
  if alive == 0 then
    close(parent, from, rest == size and reason or nil)
  elseif from ~= 'RUNNING' then
    park(parent, from)
  end
  if awaited then
    tell_dependents()
  end
end

-- What the end of one child means to its counterparts.
local function follow(parent, index, to, reason)
  for _, follower in ipairs(call('SMEMBERS', followers_key(parent))) do
    if to == 'SUCCEEDED' then
      call('RPUSH', free_key(follower), int(index))
      wake(follower)
    else
      local lost = PREFIX .. 'bits:lost:' .. parent
      call('SETBIT', lost, index, 1)
      lose(follower, lost, int(index), because(parent .. ':' .. int(index), to, reason))
      call('DEL', lost)
    end
  end
end

-- A child has ended, with keys of its own or before it had any; answers whether that closed its array.
local function count_child(parent, index, to, exit_code, reason)
  call('SETBIT', bits_key(parent, to), index, 1)
  call('HINCRBY', job_key(parent), COUNTER[to], 1)
  if to ~= 'SUCCEEDED' then
    local first = to == 'FAILED' and parent .. ':' .. int(index) .. ': ' .. reason
    note_why(parent, int(index), exit_code, reason, first)
  end
  follow(parent, index, to, reason)
  return close_if_ended(parent)
end

-- Where one child runs after the other: the next one's turn comes, or never.
local function next_in_turn(parent, index, to, reason)
  local job = call('HMGET', job_key(parent), 's', 'Q', 'c', 'o')
  if not job[2] or job[1] ~= 'RUNNING' then
    return
  elseif to ~= 'SUCCEEDED' then
    local why = job[3] or 'dependency ' .. parent .. ':' .. int(index) .. ' ' .. to .. ': ' .. reason
    end_rest(parent, 'RUNNING', job[3] and 'CANCELLED' or 'FAILED', why)
  else
    call('HSET', job_key(parent), 's', 'RUNNABLE')
    call('ZREM', IN.RUNNING, parent)
    to_queue(parent, job[4], 0)
  end
end

child_ended = function(parent, index, to, reason, fields)
  local child = keep_past(parent, index, to, fields)
  call('SREM', alive_key(parent), int(index))
  if not count_child(parent, index, to, child.x or '', reason) then
    next_in_turn(parent, index, to, reason)
  end
end

-- The parent and the index of a child's id; nil for what is no child.
local function child_of(id)
  local parent, digits = string.match(id, '^(.+):(%d+)$')
  local size = parent and call('HGET', job_key(parent), 'N')
  local index = tonumber(digits)
  if size and index < tonumber(size) and int(index) == digits then
    return parent, index
  end
  return nil
end

-- Keys of the first children of an array.
local function keys_of_children(id, size, key_of)
  local keys = {}
  for index = 0, size - 1 do
    keys[#keys + 1] = key_of(id .. ':' .. index)
  end
  return keys
end

-- The first child of a new array, of a large one among the first, whose id a job has already, also one
-- that is about to be `stored`.
local LOOKED_UP = 1000
local function taken_child(id, fields, stored)
  local size = tonumber(string.match(fields, '^N (%d+)') or '0')
  local keys = keys_of_children(id, math.min(size, LOOKED_UP), doc_key)
  local any = #keys > 0 and call('EXISTS', unpack(keys)) > 0
  for i, key in ipairs(keys) do
    local child = id .. ':' .. int(i - 1)
    if stored[child] or any and call('EXISTS', key) == 1 then
      return child
    end
  end
end

-- State and reason of any job or child; nil for none.
look_at = function(id)
  local job = call('HMGET', job_key(id), 's', 'w')
  if job[1] then
    return job[1], job[2] or ''
  end
  local parent, index = child_of(id)
  if parent then
    local state, why = child_state(parent, index)
    return state, string.match(why, '\t(.*)$')
  end
  return as_submitted(id) and 'RUNNABLE', ''
end

-- A child reads like its parent, but for the index in front.
local function child_document(parent, index)
  local document = call('GET', doc_key(parent))
  return document and '{"array_index":' .. int(index) .. ',' .. string.sub(document, 2)
end

-- Makes up to `most` children of a parent that was at the head of the queue; answers their ids. What
-- is left of the parent goes back there, behind its children. A child whose id another job has, which
-- stays untouched, ends here: at submission only the first were looked up, see taken_child.
hand_out = function(parent, most)
  local key = job_key(parent)
  local job = call('HMGET', key, 'N', 'I', 'o', 't', 'r', 'm', 'q', 'd', 'Q', 'C', 'M')
  local size, index = tonumber(job[1]), tonumber(job[2] or '0')
  local document = call('GET', doc_key(parent))
  local score = int(tonumber(job[3]) - 1)
  local ids, indexes, taken = {}, {}, {}
  most = job[9] and math.min(1, most) or most
  local function next_index()
    if #ids + #taken >= most then
      return nil
    elseif job[11] then
      return tonumber(call('LPOP', free_key(parent)) or nil)
    end
    index = index + 1
    return index <= size and index - 1 or nil
  end
  local at = next_index()
  while at do
    local id = parent .. ':' .. int(at)
    local cancelled = job[10] and call('GETBIT', bits_key(parent, 'CANCELLED'), at) == 1
    local its = '{"array_index":' .. int(at) .. ',' .. string.sub(document, 2)
    if cancelled then
      -- it never begins
    elseif not call('SET', doc_key(id), its, 'NX') and call('HGET', job_key(id), 'P') ~= parent then
      taken[#taken + 1] = at
    else
      local values = {'s', 'RUNNABLE', 'o', score, 't', job[4], 'P', parent, 'J', int(at)}
      for i, name in ipairs({'r', 'm', 'q', 'd'}) do
        if job[4 + i] then
          values[#values + 1] = name
          values[#values + 1] = job[4 + i]
        end
      end
      call('HSET', job_key(id), unpack(values))
      if job[8] then
        watch(id)
      end
      ids[#ids + 1] = id
      indexes[#indexes + 1] = int(at)
    end
    at = next_index()
  end
  in_bulk('SADD', alive_key(parent), indexes)
  call('HSET', key, 'I', int(math.min(index, size)))
  local more = index < size
  if job[11] then
    more = call('LLEN', free_key(parent)) > 0
  end
  if more and not (job[9] and #ids + #taken > 0) then
    call('ZADD', READY, job[3], parent)
  else
    park(parent, 'RUNNABLE')
  end
  local reason = 'its id is that of another job'
  for _, index_taken in ipairs(taken) do
    if not count_child(parent, index_taken, 'FAILED', '', reason) then
      next_in_turn(parent, index_taken, 'FAILED', reason)
    end
  end
  return ids
end

-- An array begins to follow another one, which may have come some way already.
local function begin_to_follow(parent, leader)
  if call('SISMEMBER', ARRAYS, leader) == 1 then
    call('SADD', followers_key(leader), parent)
  end
  local free = {}
  local succeeded = call('GET', bits_key(leader, 'SUCCEEDED')) or ''
  for byte = 1, #succeeded do
    local value = string.byte(succeeded, byte)
    for bit = 0, 7 do
      if math.floor(value / 2 ^ (7 - bit)) % 2 == 1 then
        free[#free + 1] = int((byte - 1) * 8 + bit)
      end
    end
  end
  in_bulk('RPUSH', free_key(parent), free)
  local lost = PREFIX .. 'bits:lost:' .. leader
  call('BITOP', 'OR', lost, bits_key(leader, 'FAILED'), bits_key(leader, 'CANCELLED'))
  lose(parent, lost, 'rest', 'dependency ' .. leader .. ': its child of this index did not succeed')
  call('DEL', lost)
  wake(parent)
end
