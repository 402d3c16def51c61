-- How jobs end, and what that means to those that wait for them. Shared by every script, behind the line.

-- awaited:<id>, for an array, also one to come: those ids of its children that jobs wait for, by index.
local function awaited_key(parent)
  return PREFIX .. 'awaited:' .. parent
end

-- Notes an id that may be that of a child of an array, also of one to come.
local function await(on)
  local parent, digits = string.match(on, '^(.+):(%d+)$')
  if parent then
    local index = int(tonumber(digits))
    call('ZADD', awaited_key(parent), index == digits and index or '+inf', on)
  end
end

-- Nobody may wait any more for this id, which may be that of a child to come.
local function await_no_more(on)
  local parent = string.find(on, ':', 1, true) and string.match(on, '^(.+):%d+$')
  if parent and call('EXISTS', after_key(on)) == 0 then
    call('ZREM', awaited_key(parent), on)
  end
end

-- Ended jobs beyond the number that is kept go, the oldest first, and a few at each end of a job. One
-- whose dependents are not all told yet stays.
local FORGOTTEN_AT_ONCE = 20
local function forget_oldest(state)
  local over = call('ZCARD', IN[state]) - tonumber(ENDED_KEPT)
  if over <= 0 then
    return
  end
  for _, id in ipairs(call('ZRANGE', IN[state], 0, math.min(over, FORGOTTEN_AT_ONCE) - 1)) do
    if call('EXISTS', after_key(id)) == 0 then
      local bits = PREFIX .. 'bits:'
      call('UNLINK', doc_key(id), job_key(id), payload_key(id), result_key(id),
        PREFIX .. 'why:' .. id, PREFIX .. 'past:' .. id, PREFIX .. 'results:' .. id,
        bits .. 'SUCCEEDED:' .. id, bits .. 'FAILED:' .. id, bits .. 'CANCELLED:' .. id,
        bits .. 'LAUNCHED:' .. id)
      call('ZREM', IN[state], id)
    end
  end
end

local swept = false
local function forget_old()
  if not swept then
    for _, state in ipairs({'SUCCEEDED', 'FAILED', 'CANCELLED'}) do
      call('ZREMRANGEBYSCORE', IN[state], '-inf', KEPT_SINCE)
    end
    swept = true
  end
end

local function finish_job(id, from, to, reason, parent)
  local key = job_key(id)
  local document = from == 'PENDING' and call('GET', doc_key(id))
  local waited_for = document and depends_on(document) or {}  -- it may be gone: evicted, or deleted by hand
  call('HSET', key, 's', to, 'w', reason, 'y', NOW_TEXT)
  call('SREM', CANCELS, id)
  call('ZREM', DUE, id)
  call('ZREM', TIMEOUTS, id)
  if IN[from] then
    call('ZREM', IN[from], id)
  end
  forget_old()
  if not parent then
    call('ZADD', IN[to], NOW_TEXT, id)
    call('EXPIRE', key, RETENTION_S)
    call('EXPIRE', doc_key(id), RETENTION_S)
    call('EXPIRE', payload_key(id), RETENTION_S)
    call('EXPIRE', result_key(id), RETENTION_S)
    forget_oldest(to)
  end
  for _, on in ipairs(waited_for) do
    call('HDEL', after_key(on), id)
    await_no_more(on)
  end
  report(id, to, reason)
end

local function tell_of(id)
  if call('EXISTS', after_key(id)) == 1 then
    call('RPUSH', UNTOLD, id)
    tell_dependents()
  end
end

-- Ends a job; of an array, the children that were not handed out yet.
local function end_job(id, from, to, reason)
  unfold(id)
  local job = call('HMGET', job_key(id), 'N', 'P', 'J', 'G')
  if job[1] then
    end_rest(id, from, to, reason)
    return
  end
  finish_job(id, from, to, reason, job[2])
  if job[2] then
    local fields = call('HGETALL', job_key(id))
    call('DEL', job_key(id), doc_key(id))
    child_ended(job[2], tonumber(job[3]), to, reason, fields)
  elseif job[4] then
    member_ended(job[4], id, to, reason)
  end
  tell_of(id)
end

-- State and reason of what a job depends on; NEVER is that of an id which no job has, and which counts
-- beyond the children of an array.
local function come_to(on)
  local state, reason = look_at(on)
  local parent = not state and string.match(on, '^(.+):%d+$')
  local size = parent and call('HGET', job_key(parent), 'N')
  if size then
    return 'NEVER', parent .. ' has only ' .. size .. ' children, from :0 on'
  end
  return state, reason
end

local OVER = {SUCCEEDED = true, FAILED = true, CANCELLED = true, NEVER = true}

-- What the end of a job means to one that depends on it: nil where it is as it should be, otherwise
-- the state which that one ends in, and why. k afterok, a afterany, n afternotok.
local function consequence(kind, on, state, reason)
  if state == 'NEVER' then
    return 'FAILED', 'dependency ' .. on .. ': ' .. reason
  elseif kind == 'k' and state ~= 'SUCCEEDED' then
    if string.sub(reason, 1, 11) == 'dependency ' then
      return 'FAILED', reason
    end
    return 'FAILED', 'dependency ' .. on .. ' ' .. state .. (reason == '' and '' or ': ') .. reason
  elseif kind == 'n' and state == 'SUCCEEDED' then
    return 'CANCELLED', 'not needed: it runs only if ' .. on .. ' fails, which SUCCEEDED'
  end
  return nil
end

-- Nothing keeps a PENDING job any more: its place in line goes to `places`, if it has to wait for no more.
local function let_go(id, job, places)
  local runnable = math.max(NOW, tonumber(job.r or '0'))
  call('HSET', job_key(id), 's', 'RUNNABLE', 'r', int(runnable))
  if job.v or job.G or runnable > NOW then
    to_queue(id, job.o, runnable - NOW)
  else
    places[#places + 1] = job.o
    places[#places + 1] = id
  end
  if job.d or job.b then
    watch(id)
  end
  report(id, 'RUNNABLE', '')
end

-- Those who heard that something ended as it should, and how many times each: written down at the end of
-- all that a script tells, since a job mostly hears of several. It may have ended itself meanwhile.
local function act_on_heard(ids, times)
  local gone, places = {}, {}
  for _, id in ipairs(ids) do
    local key = job_key(id)
    local job = call('HMGET', key, 's', 'k', 'M', 'o', 'r', 'd', 'b', 'v', 'G')
    if job[1] == 'PENDING' and tonumber(job[2] or '0') > times[id] then
      call('HINCRBY', key, 'k', -times[id])
    elseif job[1] == 'PENDING' then
      call('HDEL', key, 'k')
      if job[3] then
        wake(id)
      else
        gone[#gone + 1] = id
        let_go(id, {o = job[4], r = job[5], d = job[6], b = job[7], v = job[8], G = job[9]}, places)
      end
    end
  end
  in_bulk('ZADD', READY, places)
  in_bulk('ZREM', IN.PENDING, gone)
end

-- Takes some of those that wait for a job out of its dependents, id and kind in turn; nothing only once
-- nobody is left. A scan that begins anew where thousands were taken away finds nothing for a page or more.
local scanned = {}
local function take_dependents(on)
  local key = after_key(on)
  while call('EXISTS', key) == 1 do
    local from = scanned[on] or '0'
    local page = call('HSCAN', key, from, 'COUNT', 500)
    scanned[on] = page[1]
    if from == '0' and page[1] == '0' then
      call('UNLINK', key)  -- all of them: one by one takes a search each
      return page[2]
    elseif #page[2] > 0 then
      local ids = {}
      for i = 1, #page[2], 2 do
        ids[#ids + 1] = page[2][i]
      end
      in_bulk('HDEL', key, ids)
      return page[2]
    end
  end
  return {}
end

-- Tells the dependents of every job in `untold` how it ended, so many in one script; the next claim
-- goes on with the rest. Where a job came meanwhile under an id that was never to be, they wait for that.
local TOLD_AT_ONCE = 5000
local telling, told = false, 0
tell_dependents = function()
  if telling then
    return
  end
  telling = true
  local ids, times = {}, {}
  local function tell(id, to, why)
    told = told + 1
    if not to then
      ids[#ids + 1] = not times[id] and id or nil
      times[id] = (times[id] or 0) + 1
    elseif call('HGET', job_key(id), 's') == 'PENDING' then
      end_job(id, 'PENDING', to, why)
    end
  end
  local on = call('LINDEX', UNTOLD, 0)
  while on and told < TOLD_AT_ONCE do
    local state, reason = come_to(on)
    local dependents = OVER[state] and take_dependents(on) or {}
    for i = 1, #dependents, 2 do
      tell(dependents[i], consequence(dependents[i + 1], on, state, reason))
    end
    if #dependents == 0 then
      await_no_more(on)
      call('LPOP', UNTOLD)
      on = call('LINDEX', UNTOLD, 0)
    end
  end
  act_on_heard(ids, times)
  telling = false
end
