-- Gangs: members are claimed together or not at all. Shared by every script, behind arrays.lua.
--
-- gang:<id> is a hash: n size, b ms that a start may take, f what a failure means to the others (c | s),
-- P policy, T share, a s for all to come, A members that came, s state, l leader, d ms before which it is not due, i starts that
-- were called off, w why it ended. members:<id> is the set of those that have not ended,
-- missing:<id> of those that ECS did not acknowledge in this start. States:
--   G gathering: RUNNABLE members lie in `gathered`     R ready: the leader, the foremost member,
--   stands in the queue for all, the others lie in `gathered`     C claimed by one owner, all of them
--   L launching, until all are acknowledged or the time is over; what was refused waits by itself
--   F formed: members are jobs like any other     X ended, before it was formed or by on_failure
-- A member of a gang in state G, R or C is bound: it moves with the others. `gangs` holds the ids of
-- gangs for which time runs (G until all came, L): score = when it is over, ms.
local GANGS = PREFIX .. 'gangs'
local BREAK_BASE_MS, BREAK_MAX_MS = 5000, 300000

local function gang_key(gang)
  return PREFIX .. 'gang:' .. gang
end

local function members_key(gang)
  return PREFIX .. 'members:' .. gang
end

local function missing_key(gang)
  return PREFIX .. 'missing:' .. gang
end

bound = function(gang)
  local state = gang and call('HGET', gang_key(gang), 's')
  return state == 'G' or state == 'R' or state == 'C'
end

-- Places and ids of jobs, in turn, as ZADD takes them; of one that just ended, nothing may be left.
local function places_of(ids)
  local places = {}
  for _, id in ipairs(ids) do
    places[#places + 1] = score_of(id)
    places[#places + 1] = id
  end
  return places
end

-- A gang whose members all wait stands in the queue where its foremost member does.
local function gather(gang)
  local key = gang_key(gang)
  local fields = call('HMGET', key, 's', 'n', 'A', 'd')
  if fields[1] ~= 'G' or tonumber(fields[3]) < tonumber(fields[2]) then
    return
  end
  local leader, best = nil, math.huge
  for _, id in ipairs(call('SMEMBERS', members_key(gang))) do
    local score = tonumber(call('ZSCORE', GATHERED, id) or nil)
    if not score then
      return
    elseif score < best then
      leader, best = id, score
    end
  end
  if not leader then
    return
  end
  local due = tonumber(fields[4] or '0')
  if due > NOW then
    call('ZADD', DELAYED, int(due), leader)
  else
    call('ZADD', READY, int(best), leader)
  end
  call('ZREM', GATHERED, leader)
  call('HSET', key, 's', 'R', 'l', leader)
end

scatter = function(gang)
  local key = gang_key(gang)
  local fields = call('HMGET', key, 's', 'l')
  local ids = {}
  if fields[1] == 'R' then
    ids = {fields[2]}
  elseif fields[1] == 'C' then
    ids = call('SMEMBERS', members_key(gang))
  else
    return
  end
  in_bulk('ZADD', GATHERED, places_of(ids))
  call('HSET', key, 's', 'G')
  if fields[1] == 'R' then
    take_out_of_line(fields[2])
  else
    for _, owner in ipairs(call('ZRANGE', OWNERS, 0, -1)) do
      in_bulk('HDEL', claimed_key(owner), ids)
    end
  end
end

-- A bound member waits, from now on or again; if it was claimed, all of them are given back.
assemble = function(gang, id, score, delay_ms)
  scatter(gang)
  call('ZADD', GATHERED, score, id)
  local due = tonumber(call('HGET', gang_key(gang), 'd') or '0')
  if delay_ms > 0 and NOW + delay_ms > due then
    call('HSET', gang_key(gang), 'd', int(NOW + delay_ms))
  end
  gather(gang)
end

regather = function(gang)
  scatter(gang)
  gather(gang)
end

-- What a gang in the queue hands out when its leader is claimed; nil for whom stands for itself.
muster = function(leader)
  local gang = call('HGET', job_key(leader), 'G')
  if not gang or call('HGET', gang_key(gang), 's') ~= 'R' then
    return nil
  end
  local ids, scores = call('SMEMBERS', members_key(gang)), {}
  for _, id in ipairs(ids) do
    scores[id] = tonumber(call('HGET', job_key(id), 'o'))
  end
  table.sort(ids, function(a, b) return scores[a] < scores[b] end)
  in_bulk('ZREM', GATHERED, ids)
  call('HSET', gang_key(gang), 's', 'C')
  return ids
end

-- How many are claimed together with this one, 0 for whom stands for itself; -1 if it is the rest of a
-- gang that is starting.
together = function(gang)
  local state = gang and call('HGET', gang_key(gang), 's')
  if state == 'C' then
    return call('SCARD', members_key(gang))
  end
  return state == 'L' and -1 or 0
end

-- The first launch of a gang begins: from here on time runs for the others.
local function begin_start(gang)
  local key = gang_key(gang)
  local fields = call('HMGET', key, 's', 'b')
  if fields[1] == 'C' then
    call('ZADD', GANGS, int(NOW + tonumber(fields[2])), gang)
    call('SUNIONSTORE', missing_key(gang), members_key(gang))
    call('HSET', key, 's', 'L')
  end
end

local function is_formed(gang)
  if call('HGET', gang_key(gang), 's') == 'L' and call('SCARD', missing_key(gang)) == 0 then
    call('HSET', gang_key(gang), 's', 'F')
    call('HDEL', gang_key(gang), 'l', 'd')
    call('ZREM', GANGS, gang)
  end
end

-- ECS acknowledged this member's launch.
local function acknowledge(gang, id)
  call('SREM', missing_key(gang), id)
  is_formed(gang)
end

-- Ends the members together: what waits at once, the rest once their tasks have stopped.
local function disband(gang, to, why)
  call('HSET', gang_key(gang), 's', 'X', 'w', why)
  call('ZREM', GANGS, gang)
  for _, id in ipairs(call('SMEMBERS', members_key(gang))) do
    local key = job_key(id)
    local state = call('HGET', key, 's')
    if state == 'RUNNABLE' or state == 'PENDING' then
      end_job(id, state, to, why)
      take_out(id)
    else
      call('HSETNX', key, 'c', why)
      call('SADD', CANCELS, id)
    end
  end
end

member_ended = function(gang, id, to, reason)
  local key = gang_key(gang)
  local fields = call('HMGET', key, 's', 'f')
  local was_started = (fields[1] == 'L' or fields[1] == 'F')
    and call('SISMEMBER', missing_key(gang), id) == 0
  scatter(gang)
  call('ZREM', GATHERED, id)
  call('SREM', members_key(gang), id)
  call('SREM', missing_key(gang), id)
  if to ~= 'SUCCEEDED' and fields[1] ~= 'X' and not (was_started and fields[2] == 'c') then
    local why = 'gang ' .. gang .. ': its member ' .. id .. ' ' .. to
    disband(gang, 'CANCELLED', why .. (reason == '' and '' or ': ') .. reason)
  end
  is_formed(gang)
  gather(gang)
  if call('EXISTS', members_key(gang)) == 0 then
    call('EXPIRE', key, RETENTION_S)
  end
end

-- From 0 to 1, another number for each gang and round.
local function spread(gang, round)
  local sum = 0
  for i = 1, #gang do
    sum = (sum * 31 + string.byte(gang, i) * round) % 65521
  end
  return sum / 65520
end

-- Not all were started in time: those that were are stopped, and the gang waits as a whole again. The
-- wait doubles from 5 s to 5 min; the gang's name spreads it, so that two that were in each other's way
-- don't meet again.
local function call_off(gang)
  local key = gang_key(gang)
  local fields = call('HMGET', key, 'n', 'b', 'i')
  local started = tonumber(fields[1]) - call('SCARD', missing_key(gang))
  local round = tonumber(fields[3] or '0') + 1
  local wait = math.min(BREAK_MAX_MS, BREAK_BASE_MS * 2 ^ math.min(round - 1, 10))
  local why = 'gang ' .. gang .. ': ' .. int(started) .. ' of ' .. fields[1] .. ' were started within '
    .. int(tonumber(fields[2]) / 1000) .. ' s; all wait again'
  call('ZREM', GANGS, gang)
  call('HSET', key, 's', 'G', 'i', int(round), 'd', int(NOW + wait * (0.5 + spread(gang, round) / 2)))
  for _, id in ipairs(call('SMEMBERS', members_key(gang))) do
    local job = call('HMGET', job_key(id), 's', 'o')
    if job[1] == 'RUNNABLE' then
      call('HSET', job_key(id), 'w', why)
      if not call('ZSCORE', SUSPENDED, id) then
        take_out(id)
        call('ZADD', GATHERED, job[2], id)
      end
    else
      call('HSET', job_key(id), 'B', why)
      call('SADD', CANCELS, id)
    end
  end
  call('DEL', missing_key(gang))
  gather(gang)
end

-- Whatever a gang's time is over for.
local function time_is_over(gang)
  local fields = call('HMGET', gang_key(gang), 's', 'n', 'A', 'a')
  if fields[1] == 'L' then
    call_off(gang)
  elseif fields[1] == 'G' and tonumber(fields[3]) < tonumber(fields[2]) then
    disband(gang, 'FAILED', 'gang ' .. gang .. ': ' .. fields[3] .. ' of ' .. fields[2]
      .. ' members came within ' .. fields[4] .. ' s')
  end
  call('ZREM', GANGS, gang)
end

-- What all members have to say alike, by the fields of the gang's hash.
local TERMS = {
  {'n', 'size'}, {'b', 'within_s', 1000}, {'a', 'arrive_within_s'}, {'f', 'on_failure'},
  {'P', 'policy'}, {'T', 'share'},
}
local IN_WORDS = {f = {s = 'stop', c = 'continue'}, P = {[''] = 'none'}}

local function term_shown(field, value, unit)
  return IN_WORDS[field] and IN_WORDS[field][value] or unit and int(tonumber(value) / unit) or value
end

-- Why a member cannot be one, by the first thing that it says differently; nil for one that can.
local function disagreement(gang, known, said)
  for i, term in ipairs(TERMS) do
    local field, name, unit = unpack(term)
    local before = known[i] or ''  -- an earlier version kept no policy
    if before ~= said[i] then
      return 'gang ' .. gang .. ': ' .. name .. ' is ' .. term_shown(field, said[i], unit)
        .. ' here, and ' .. term_shown(field, before, unit) .. ' in the members before it'
    end
  end
  return nil
end

-- A new member; where it can't be one, the state that it ends in, and why. `word` is, with commas in
-- between: size, start ms, arrival s, c | s, policy (left out for none), id.
local function join(id, word, share)
  local size, start_ms, arrival_s, on_failure, policy, gang = string.match(
    word, '^(%d+),(%d+),(%d+),(%a),([^,]-),?([^,]+)$')
  local key = gang_key(gang)
  local said = {size, start_ms, arrival_s, on_failure, policy, share}
  local known = call('HMGET', key, 'n', 'b', 'a', 'f', 'P', 'T', 'A', 's', 'w')
  local came = tonumber(known[7] or '0') + 1
  local odd = known[1] and disagreement(gang, known, said)
  if not known[1] then
    call('HSET', key, 's', 'G')
    for i, term in ipairs(TERMS) do
      call('HSET', key, term[1], said[i])
    end
    call('ZADD', GANGS, int(NOW + tonumber(arrival_s) * 1000), gang)
  elseif known[8] == 'X' then
    return 'CANCELLED', 'gang ' .. gang .. ' has ended: ' .. known[9]
  elseif odd then
    return 'FAILED', odd
  elseif came > tonumber(size) then
    return 'FAILED', 'gang ' .. gang .. ': it has its ' .. size .. ' members already'
  end
  call('SADD', members_key(gang), id)
  call('HSET', key, 'A', int(came))
  call('HSET', job_key(id), 'G', gang)
  if came == tonumber(size) then
    call('ZREM', GANGS, gang)
  end
  return nil
end
