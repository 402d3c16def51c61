
-- Arrays: what stands for their children. Shared by every script, behind the prelude.
--
-- A parent's hash holds N its size, I the next index to hand out, S | F | C how many children ended
-- so, Q if one child runs after the other, E the first failure. Only a child that was handed out and
-- has not ended has keys of its own, with P its parent and J its index; alive:<parent> is their set.
-- How the others ended say three bitmaps bits:<state>:<parent>, and for the first of those that did
-- not succeed why:<parent>: index to exit code, tab, reason.
local WHY_KEPT = 1000
local COUNTER = {SUCCEEDED = 'S', FAILED = 'F', CANCELLED = 'C'}

local function bits_key(parent, state)
  return PREFIX .. 'bits:' .. state .. ':' .. parent
end

local function why_key(parent)
  return PREFIX .. 'why:' .. parent
end

local function note_why(parent, index, exit_code, reason, first)
  if call('HLEN', why_key(parent)) < WHY_KEPT then
    call('HSET', why_key(parent), index, exit_code .. '\t' .. reason)
  end
  call('HSETNX', job_key(parent), 'E', first)
end

-- Sets the bits from first to last.
local function set_bits(key, first, last)
  while first <= last and first % 8 ~= 0 do
    call('SETBIT', key, first, 1)
    first = first + 1
  end
  local bytes = math.floor((last - first + 1) / 8)
  if bytes > 0 then
    call('SETRANGE', key, first / 8, string.rep('\255', bytes))
  end
  for bit = first + math.max(bytes, 0) * 8, last do
    call('SETBIT', key, bit, 1)
  end
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
  call('DEL', alive_key(parent))
  call('SREM', ARRAYS, parent)
  for state in pairs(COUNTER) do
    call('EXPIRE', bits_key(parent, state), RETENTION_S)
  end
  call('EXPIRE', why_key(parent), RETENTION_S)
  finish_job(parent, from, to, why or '')
  tell_of(parent)
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

-- Ends the children that were not handed out yet. The parent itself waits in no set any more.
end_rest = function(parent, from, to, reason)
  local key = job_key(parent)
  local job = call('HMGET', key, 'N', 'I')
  local size, _, _, _, ended = tonumber(job[1]), ended_children(parent)
  local alive = call('SCARD', alive_key(parent))
  local rest = size - ended - alive
  if rest > 0 then
    set_bits(bits_key(parent, to), tonumber(job[2] or '0'), size - 1)
    call('HINCRBY', key, COUNTER[to], int(rest))
    note_why(parent, 'rest', '', reason, reason)
  end
  call('HSET', key, 'I', int(size))
  if alive == 0 then
    close(parent, from, rest == size and reason or nil)
  elseif from ~= 'RUNNING' then
    park(parent, from)
  end
end

child_ended = function(parent, index, to, reason, exit_code)
  local key = job_key(parent)
  local id = parent .. ':' .. int(index)
  call('SETBIT', bits_key(parent, to), index, 1)
  call('HINCRBY', key, COUNTER[to], 1)
  call('SREM', alive_key(parent), int(index))
  if to ~= 'SUCCEEDED' then
    note_why(parent, int(index), exit_code or '', reason, id .. ': ' .. reason)
  end
  local job = call('HMGET', key, 's', 'N', 'Q', 'c', 'o')
  local _, _, _, ended = ended_children(parent)
  if ended == tonumber(job[2]) then
    close(parent, job[1])
  elseif job[3] and job[1] == 'RUNNING' then
    if to ~= 'SUCCEEDED' then
      local why = job[4] or 'dependency ' .. id .. ' ' .. to .. ': ' .. reason
      end_rest(parent, 'RUNNING', job[4] and 'CANCELLED' or 'FAILED', why)
    else
      call('HSET', key, 's', 'RUNNABLE')
      call('ZREM', IN.RUNNING, parent)
      to_queue(parent, job[5], 0)
    end
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

-- The state of a child without keys of its own, and how it ended: exit code, tab, reason.
local function child_state(parent, index)
  for _, state in ipairs({'CANCELLED', 'FAILED', 'SUCCEEDED'}) do
    if call('GETBIT', bits_key(parent, state), index) == 1 then
      local why = state ~= 'SUCCEEDED' and (
        call('HGET', why_key(parent), int(index)) or call('HGET', why_key(parent), 'rest'))
      return state, why or '\t'
    end
  end
  local state = call('HGET', job_key(parent), 's')
  return state == 'PENDING' and state or 'RUNNABLE', '\t'
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
  return nil
end

-- A child reads like its parent, but for the index in front.
local function child_document(parent, index)
  local document = call('GET', doc_key(parent))
  return document and '{"array_index":' .. int(index) .. ',' .. string.sub(document, 2)
end

-- Makes up to `most` children of a parent that was at the head of the queue; answers their ids. What
-- is left of the parent goes back there, behind its children.
local function hand_out(parent, most)
  local key = job_key(parent)
  local job = call('HMGET', key, 'N', 'I', 'o', 't', 'r', 'm', 'q', 'd', 'Q', 'C')
  local size, index = tonumber(job[1]), tonumber(job[2] or '0')
  local document = call('GET', doc_key(parent))
  local score = int(tonumber(job[3]) - 1)
  local ids, indexes = {}, {}
  most = job[9] and math.min(1, most) or most
  while index < size and #ids < most do
    local id = parent .. ':' .. int(index)
    if not (job[10] and call('GETBIT', bits_key(parent, 'CANCELLED'), index) == 1) then
      local values = {'s', 'RUNNABLE', 'o', score, 't', job[4], 'P', parent, 'J', int(index)}
      for i, name in ipairs({'r', 'm', 'q', 'd'}) do
        if job[4 + i] then
          values[#values + 1] = name
          values[#values + 1] = job[4 + i]
        end
      end
      call('SET', doc_key(id), '{"array_index":' .. int(index) .. ',' .. string.sub(document, 2))
      call('HSET', job_key(id), unpack(values))
      if job[8] then
        watch(id)
      end
      ids[#ids + 1] = id
      indexes[#indexes + 1] = int(index)
    end
    index = index + 1
  end
  in_bulk('SADD', alive_key(parent), indexes)
  call('HSET', key, 'I', int(index))
  if index < size and not (job[9] and #ids > 0) then
    call('ZADD', READY, job[3], parent)
  else
    park(parent, 'RUNNABLE')
  end
  return ids
end
