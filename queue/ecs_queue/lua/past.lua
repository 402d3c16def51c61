-- What is known of the children of arrays that have ended. Shared by every script, behind the prelude.
--
-- How they ended say three bitmaps bits:<state>:<parent>, and for the first of those that did not
-- succeed why:<parent>: index to exit code, tab, reason. bits:LAUNCHED:<parent> has those that were
-- launched at least once: past:<parent> keeps what is told of the latest of these, index to record, and
-- results:<parent> what they reported. Within an open array kept:<class>:<parent>, lists of indexes,
-- bound their number; over all ended ones kept_arrays (a list: number, end ms, array) and
-- kept_children (their sum) do, by the number of jobs that are kept of one state.
local WHY_KEPT, PLAIN_KEPT = 1000, 10000

local function bits_key(parent, state)
  return PREFIX .. 'bits:' .. state .. ':' .. parent
end

local function why_key(parent)
  return PREFIX .. 'why:' .. parent
end

local function past_key(parent)
  return PREFIX .. 'past:' .. parent
end

local function results_key(parent)
  return PREFIX .. 'results:' .. parent
end

-- `first` is what is said of the array, if this is the first child that FAILED.
local function note_why(parent, index, exit_code, reason, first)
  if call('HLEN', why_key(parent)) < WHY_KEPT then
    call('HSET', why_key(parent), index, exit_code .. '\t' .. reason)
  end
  if first then
    call('HSETNX', job_key(parent), 'E', first)
  end
end

-- A past child as it is kept: words in pairs, its reason, its progress, its history, a line each and
-- the last one many. What belongs to the task that it ended with stands in the history's last line.
local WORDS_OF_PAST = {'n', 'f', 'i', 'r', 'y', 'a', 'z', 'u', 'x', 'g'}
local LAST_TASK = '([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t[^\t]*\t([^\t]*)$'

local function write_past(child)
  local of_last = {}
  local last = string.match(child.h or '', '[^\n]*$')
  if child.a and string.sub(last, 1, #child.a + 1) == child.a .. '\t' then
    of_last = {a = true, z = true, u = true, y = true, x = true, g = true}
  end
  local words = {child.c and 'c 1' or nil}
  for _, name in ipairs(WORDS_OF_PAST) do
    if child[name] and not of_last[name] then
      words[#words + 1] = name .. ' ' .. child[name]
    end
  end
  words[#words + 1] = of_last.a and 'last 1' or nil
  return table.concat({table.concat(words, ' '), child.w or '', child.p or '', child.h or ''}, '\n')
end

-- The fields of a past child, name and value in turn; none where it is not kept.
local function past_fields(parent, index)
  local record = call('HGET', past_key(parent), int(index))
  local fields = {}
  if not record then
    return fields
  end
  local words, past = '', {}
  words, past.w, past.p, past.h = string.match(record, '^([^\n]*)\n([^\n]*)\n([^\n]*)\n(.*)$')
  for name, value in string.gmatch(words, '(%S+) (%S+)') do
    past[name] = value
  end
  if past.last then
    past.a, past.z, past.u, past.y, past.x, past.g = string.match(
      string.match(past.h, '[^\n]*$'), LAST_TASK)
    past.last = nil
  end
  for name, value in pairs(past) do
    if value ~= '' then
      fields[#fields + 1] = name
      fields[#fields + 1] = value
    end
  end
  return fields
end

-- Room for one more of a class of past children: the oldest makes it.
local function make_room(parent, class, index, most)
  local key = PREFIX .. 'kept:' .. class .. ':' .. parent
  call('RPUSH', key, int(index))
  if call('LLEN', key) > most then
    local oldest = call('LPOP', key)
    call('HDEL', past_key(parent), oldest)
    call('HDEL', results_key(parent), oldest)
  end
end

-- Keeps what is told of a child that has ended, if it was ever launched. What went smoothly does not
-- drive out what did not, nor either what has a result.
local function keep_past(parent, index, to, fields)
  local child = {}
  for i = 1, #fields, 2 do
    child[fields[i]] = fields[i + 1]
  end
  if not child.n then
    return child
  end
  local id, most = parent .. ':' .. int(index), tonumber(ENDED_KEPT)
  local few = math.min(most, PLAIN_KEPT)
  call('SETBIT', bits_key(parent, 'LAUNCHED'), index, 1)
  call('HSET', past_key(parent), int(index), write_past(child))
  local result = call('GET', result_key(id))
  if result then
    call('HSET', results_key(parent), int(index), result)
    call('DEL', result_key(id))
    make_room(parent, 'R', index, most)
  elseif to ~= 'SUCCEEDED' or child.n ~= '1' then
    make_room(parent, 'F', index, few)
  else
    make_room(parent, 'S', index, few)
  end
  return child
end

-- Over all arrays that have ended, the past of the oldest goes first.
local function forget_pasts(parent)
  local arrays, sum = PREFIX .. 'kept_arrays', PREFIX .. 'kept_children'
  local number = call('HLEN', past_key(parent))
  if number == 0 then
    return
  end
  call('RPUSH', arrays, int(number) .. ' ' .. NOW_TEXT .. ' ' .. parent)
  local total, most = call('INCRBY', sum, number), tonumber(ENDED_KEPT)
  local count, ended, oldest = string.match(call('LINDEX', arrays, 0), '^(%d+) (%d+) (.*)$')
  for _ = 1, FORGOTTEN_AT_ONCE do
    if oldest == parent or (total <= most and tonumber(ended) >= tonumber(KEPT_SINCE)) then
      break
    end
    if call('HGET', job_key(oldest), 'y') == ended then
      call('UNLINK', past_key(oldest), results_key(oldest))
    end
    call('LPOP', arrays)
    total = call('DECRBY', sum, count)
    count, ended, oldest = string.match(call('LINDEX', arrays, 0), '^(%d+) (%d+) (.*)$')
  end
end

-- The state of a child without keys of its own, and how it ended: exit code, tab, reason.
local function child_state(parent, index)
  for _, state in ipairs({'CANCELLED', 'FAILED', 'SUCCEEDED'}) do
    if call('GETBIT', bits_key(parent, state), index) == 1 then
      local why = state ~= 'SUCCEEDED' and call('HGET', why_key(parent), int(index))
      if not why and call('GETBIT', bits_key(parent, 'LAUNCHED'), index) == 0 then
        why = call('HGET', why_key(parent), 'rest')
      end
      return state, why or '\t'
    end
  end
  local state = call('HGET', job_key(parent), 's')
  return state == 'PENDING' and state or 'RUNNABLE', '\t'
end

-- '1' for a child that has ended and was launched, of which nothing is kept; else ''. That one which
-- SUCCEEDED was launched is certain, also where an earlier version kept no bit for it.
local function is_forgotten(parent, index, state)
  local launched = state == 'SUCCEEDED' or call('GETBIT', bits_key(parent, 'LAUNCHED'), index) == 1
  return launched and call('HEXISTS', past_key(parent), int(index)) == 0 and '1' or ''
end
