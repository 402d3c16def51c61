-- What scripts share: the queue's keys, the time, and the steps that several take. Each gets those
-- paragraphs that it mentions, see linking.py.
--
-- ARGV: 1 key prefix, 2 now in ms ('' = the server's clock), 3 retention in s, 4 events kept : ended
-- jobs kept of each state : dead letters kept.
-- A job lives in two keys: doc:<id> (its canonical document, see bare) and job:<id>, a hash of the following;
-- payload:<id> and result:<id> are JSON that only its task and those who ask for it read.
--   s state     o score in ready   t submitted ms   r runnable ms, if other than t
--   w reason    m attempts, if > 1   c reason of a cancel request
--   n effective launches   f failed attempts   i infrastructure failures   h past attempts
--   l launch token   a task ARN   z instance ARN   g starting ms   u running ms
--   y ended ms   x exit code
--   q timeout in s   e timed out: why   d deadline ms   b bound on the wait: ms:action[:priority]
--   k dependencies that are open (of a PENDING job)
--   N I S F C Q M E of the parent of an array, P J of a child: see arrays.lua and past.lua
--   T share (tenant), if not default
--   p progress: ms, space, text
--   O priority at first, if it rose by waiting
--   G gang, B why its gang calls it back: see gangs.lua
--   v suspended: ms before which a resumed job is not due
-- Short names and a separate document keep the hash in its compact encoding. Who holds a job says
-- claimed:<owner>, a hash of job id to epoch, and claimed_lately:<owner>, see claimed_key.

local call = redis.call

local INBOX, READY, DELAYED, OWNERS = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local CLAIMS, INTENTS, LIVE, CANCELS = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local DEAD, EVENTS, SEQ, EPOCH = KEYS[9], KEYS[10], KEYS[11], KEYS[12]

local IN = {
  STARTING = KEYS[13], RUNNING = KEYS[14],
  SUCCEEDED = KEYS[15], FAILED = KEYS[16], CANCELLED = KEYS[17],
}
IN.PENDING = ARGV[1] .. 'in:PENDING'

local TIMEOUTS, DUE, SUSPENDED, PAUSED = KEYS[18], KEYS[19], KEYS[20], KEYS[21]

local PREFIX, RETENTION_S = ARGV[1], ARGV[3]

local EVENTS_KEPT, ENDED_KEPT, DEAD_KEPT = string.match(ARGV[4], '^(%d+):(%d+):(%d+)$')

local UNTOLD, GRAPHS, ARRAYS = PREFIX .. 'untold', PREFIX .. 'graphs', PREFIX .. 'arrays'
local GATHERED = PREFIX .. 'gathered'

-- By owner: the server process that last answered its bid for the lead.
local SERVERS = PREFIX .. 'servers'

-- Lua's own conversion turns 16 digits into an exponent.
local function int(number)
  return string.format('%.0f', number)
end

local NOW = tonumber(ARGV[2])
if not NOW then
  local time = call('TIME')
  NOW = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local NOW_TEXT = int(NOW)

local KEPT_SINCE = int(NOW - tonumber(RETENTION_S) * 1000)

local function job_key(id)
  return PREFIX .. 'job:' .. id
end

local function doc_key(id)
  return PREFIX .. 'doc:' .. id
end

local function payload_key(id)
  return PREFIX .. 'payload:' .. id
end

local function result_key(id)
  return PREFIX .. 'result:' .. id
end

-- Digits before a document say since when the job is RUNNABLE, ms, and that there is no more to say of
-- it to whom claims it: it was never launched, and is in no gang. A second number is the job's score:
-- most jobs are submitted with nothing special, and have no hash until something is to be said of them.
local function bare(document)
  return string.sub(document, string.find(document, '{', 1, true) or 1)
end

local function is_as_submitted(document)
  local first = string.byte(document)
  return first and first >= 48 and first <= 57
end

-- Score and ms of submission, as words, of a job that has no hash yet; nil of any other.
local function as_submitted(id)
  local at, score = string.match(call('GETRANGE', doc_key(id), 0, 40), '^(%d+) (%d+){')
  return score, at
end

-- The job's place in the queue; the foremost of one of which nothing is left, so that a claim finds out.
local function score_of(id)
  return call('HGET', job_key(id), 'o') or as_submitted(id) or '0'
end

-- Gives the job its hash, if it has none yet: before anything is written of it, or read that counts.
local function unfold(id)
  if call('EXISTS', job_key(id)) == 0 then
    local score, at = as_submitted(id)
    if score then
      call('HSET', job_key(id), 's', 'RUNNABLE', 'o', score, 't', at)
    end
  end
end

local function document_of(id)
  local document = call('GET', doc_key(id))
  return document and bare(document)
end

-- A launch counts: from now on a claim looks into the job.
local function was_launched(id)
  local digits = string.match(call('GETRANGE', doc_key(id), 0, 40), '^[%d ]+')
  if digits then
    call('SETRANGE', doc_key(id), 0, string.rep(' ', #digits))
  end
end

-- A new document comes with its payload behind a line break, which no JSON in one line has.
local function split(written)
  local at = string.find(written, '\n', 1, true)
  if at then
    return string.sub(written, 1, at - 1), string.sub(written, at + 1)
  end
  return written, nil
end

-- after:<id> is a hash of the PENDING jobs that wait for this one: id to kind of dependency.
local function after_key(id)
  return PREFIX .. 'after:' .. id
end

local function alive_key(parent)
  return PREFIX .. 'alive:' .. parent
end

-- parked:<share> holds what a claim came across while that share had its fair part already; `parked`
-- names these shares, `shares` all that were ever seen beside `default`.
local PARKED, SHARES = PREFIX .. 'parked', PREFIX .. 'shares'
local function parked_key(share)
  return PREFIX .. 'parked:' .. share
end

-- One call of a command that takes any number of arguments, a thousand at a time.
local function in_bulk(command, key, values)
  for first = 1, #values, 1000 do
    call(command, key, unpack(values, first, math.min(first + 999, #values)))
  end
end

-- What was claimed lately and not asked for since: a hash of epoch to ids, a text a claim. To write a
-- hundred ids one by one, and to the append-only file, takes as long as to read their documents.
local function lately_key(owner)
  return PREFIX .. 'claimed_lately:' .. owner
end

local asked_for = {}
local function claimed_key(owner)
  local key, values = PREFIX .. 'claimed:' .. owner, {}
  local claims = asked_for[owner] and {} or call('HGETALL', lately_key(owner))
  asked_for[owner] = true
  for i = 1, #claims, 2 do
    for id in string.gmatch(claims[i + 1], '%S+') do
      values[#values + 1] = id
      values[#values + 1] = claims[i]
    end
  end
  if #values > 0 then
    in_bulk('HSET', key, values)
    call('DEL', lately_key(owner))
  end
  return key
end

-- The ids that an owner holds, for scripts that only look: a server that is full or a replica answers too.
local function claimed_by(owner)
  local ids, lately = call('HKEYS', PREFIX .. 'claimed:' .. owner), call('HVALS', lately_key(owner))
  for _, claim in ipairs(lately) do
    for id in string.gmatch(claim, '%S+') do
      ids[#ids + 1] = id
    end
  end
  return ids
end

-- What the jobs of stopped tasks came to, for two to three hours by the time that scripts are given: a
-- hash for an hour, `since` names it, and the fourth takes the place of the first.
local ENDED_HOURS, HOUR_S = 3, 3600
local function ended_key(hour)
  return PREFIX .. 'ended:' .. hour % ENDED_HOURS
end

local function remember_end(task, to)
  local hour = math.floor(NOW / 1000 / HOUR_S)
  local key = ended_key(hour)
  local since = tonumber(call('HGET', key, 'since') or nil)
  if not since or since < hour then
    call('UNLINK', key)
    call('HSET', key, 'since', int(hour))
    call('EXPIRE', key, ENDED_HOURS * HOUR_S)
  end
  call('HSET', key, task, to)
end

-- False for a task that has not ended, or did so long ago.
local function ended_as(task)
  for hour = 1, ENDED_HOURS do
    local state = call('HGET', ended_key(hour), task)
    if state then
      return state
    end
  end
  return false
end

-- Whether a task is, or was, some job's.
local function is_known_task(task)
  return call('HEXISTS', LIVE, task) == 1 or ended_as(task) ~= false
end

-- One event; the first of a call trims the stream, and an empty reason is left out.
local trimmed = false
local function report(id, state, reason)
  if not trimmed then
    call('XTRIM', EVENTS, 'MAXLEN', '~', EVENTS_KEPT)
    trimmed = true
  end
  if reason == '' then
    call('XADD', EVENTS, '*', 'job', id, 'state', state, 'at', NOW_TEXT)
  else
    call('XADD', EVENTS, '*', 'job', id, 'state', state, 'at', NOW_TEXT, 'reason', reason)
  end
end

local bound, scatter, regather, assemble, muster, together, member_ended  -- see gangs.lua

local function to_queue(id, score, delay_ms)
  local job = call('HMGET', job_key(id), 'v', 'G')
  if job[1] then
    call('HSET', job_key(id), 'v', int(NOW + delay_ms))
    call('ZADD', SUSPENDED, score, id)
  elseif job[2] and bound(job[2]) then
    assemble(job[2], id, score, delay_ms)
  elseif delay_ms > 0 then
    call('ZADD', DELAYED, int(NOW + delay_ms), id)
  else
    call('ZADD', READY, score, id)
  end
end

local function has_lease(owner)
  local expiry = call('ZSCORE', OWNERS, owner)
  return expiry and tonumber(expiry) > NOW
end

-- Whether `owner` holds the job under this epoch; a stale claim holds nothing.
local function held(id, owner, epoch)
  return call('HGET', claimed_key(owner), id) == epoch
end

-- What the owner claimed goes back to ready under its old score.
local function give_up_claims(owner)
  local ids = call('HKEYS', claimed_key(owner))
  local places, gangs = {}, {}
  for _, id in ipairs(ids) do
    local job = call('HMGET', job_key(id), 'o', 'G')
    if job[2] and bound(job[2]) then
      gangs[job[2]] = true
    else
      places[#places + 1] = job[1] or score_of(id)
      places[#places + 1] = id
    end
  end
  for gang in pairs(gangs) do
    regather(gang)
  end
  in_bulk('ZADD', READY, places)
  call('DEL', claimed_key(owner))
  return #ids
end

-- Ends the owner's lease, and its claims with it.
local function give_back(owner)
  local moved = give_up_claims(owner)
  call('HDEL', CLAIMS, owner)
  call('HDEL', SERVERS, owner)
  call('ZREM', OWNERS, owner)
  return moved
end

-- The server process that answers; nil where it may not be asked.
local function this_server()
  local readable, info = pcall(call, 'INFO', 'server')
  return readable and string.match(info, 'run_id:(%x+)') or nil
end

-- Keeps what can't be processed, with its reason; `entry` is '0-0' where it did not come by the inbox.
local function keep_dead(document, reason, entry)
  call('XADD', DEAD, '*', 'document', document, 'reason', reason, 'entry', entry, 'at', NOW_TEXT)
  call('XTRIM', DEAD, 'MAXLEN', '~', DEAD_KEPT)
end

local function take_out_of_line(id)
  call('ZREM', READY, id)
  for _, share in ipairs(call('SMEMBERS', PARKED)) do
    call('ZREM', parked_key(share), id)
  end
  call('ZREM', DELAYED, id)
end

-- Takes a RUNNABLE job out of wherever it waits; whoever holds it holds it no more. The other members
-- of a bound gang wait for its return.
local function take_out(id)
  local gang = call('HGET', job_key(id), 'G')
  if gang then
    scatter(gang)
    call('ZREM', GATHERED, id)
  end
  take_out_of_line(id)
  call('ZREM', SUSPENDED, id)
  for _, owner in ipairs(call('ZRANGE', OWNERS, 0, -1)) do
    call('HDEL', claimed_key(owner), id)
  end
end

-- due holds every RUNNABLE job with a deadline or a bounded wait, under the sooner of the two.
local function watch(id)
  local job = call('HMGET', job_key(id), 'd', 'b', 'r', 't')
  local due = tonumber(job[1])
  if job[2] then
    local waited = tonumber(job[3] or job[4]) + tonumber(string.match(job[2], '^%d+'))
    due = math.min(due or waited, waited)
  end
  if due then
    call('ZADD', DUE, int(due), id)
  else
    call('ZREM', DUE, id)
  end
end

-- The ids that a document depends on.
local function depends_on(document)
  local ids = {}
  for _, each in ipairs(cjson.decode(document).depends_on or {}) do
    ids[#ids + 1] = each.job
  end
  return ids
end

-- awaited:<id>, for an array that has not come: those ids of its children that jobs wait for, by index.
local function awaited_key(parent)
  return PREFIX .. 'awaited:' .. parent
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

local tell_dependents, hand_out, end_rest, child_ended, look_at, wake

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
  local waited_for = from == 'PENDING' and depends_on(call('GET', doc_key(id))) or {}
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

-- STARTING or RUNNING back to RUNNABLE; what belonged to the launch is forgotten.
local function run_again(id, from, reason, delay_ms)
  local key = job_key(id)
  to_queue(id, call('HGET', key, 'o'), delay_ms)
  call('HSET', key, 's', 'RUNNABLE', 'w', reason)
  call('HDEL', key, 'l', 'a', 'z', 'g', 'u', 'x', 'p', 'B')
  call('DEL', result_key(id))
  call('SREM', CANCELS, id)
  if IN[from] then
    call('ZREM', IN[from], id)
  end
  call('ZREM', TIMEOUTS, id)
  watch(id)
  report(id, 'RUNNABLE', reason)
end

-- Gives a job another priority; its number in the order of submission stays. One that is claimed goes
-- back to ready, so that its place among the others is decided anew.
local STEP = 1e12
local function move_to(id, priority, reason)
  local key = job_key(id)
  unfold(id)
  local job = call('HMGET', key, 's', 'o', 'G')
  local score = int((1000 - priority) * STEP + tonumber(job[2]) % STEP)
  if score == job[2] then
    return
  end
  call('HSET', key, 'o', score)
  if job[1] ~= 'RUNNABLE' then
    return
  end
  if call('ZSCORE', SUSPENDED, id) then
    call('ZADD', SUSPENDED, score, id)
    return
  end
  if reason ~= '' then
    call('HSET', key, 'w', reason)
  end
  if not call('ZSCORE', DELAYED, id) or job[3] and bound(job[3]) then
    take_out(id)
    to_queue(id, score, 0)
  end
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

local function tell(id, kind, on, state, reason)
  local key = job_key(id)
  local job = call('HMGET', key, 's', 'k', 'o', 'r', 'd', 'b', 'M')
  if job[1] ~= 'PENDING' then
    return
  end
  local to, why = consequence(kind, on, state, reason)
  if to then
    end_job(id, 'PENDING', to, why)
  elseif job[2] ~= '1' then
    call('HINCRBY', key, 'k', -1)
  elseif job[7] then
    call('HDEL', key, 'k')
    wake(id)
  else
    local runnable = math.max(NOW, tonumber(job[4] or '0'))
    call('HDEL', key, 'k')
    call('HSET', key, 's', 'RUNNABLE', 'r', int(runnable))
    call('ZREM', IN.PENDING, id)
    to_queue(id, job[3], runnable - NOW)
    if job[5] or job[6] then
      watch(id)
    end
    report(id, 'RUNNABLE', '')
  end
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
  local on = call('LINDEX', UNTOLD, 0)
  while on and told < TOLD_AT_ONCE do
    local state, reason = come_to(on)
    local dependents = OVER[state] and call('HSCAN', after_key(on), 0, 'COUNT', 500)[2] or {}
    local ids = {}
    for i = 1, #dependents, 2 do
      ids[#ids + 1] = dependents[i]
    end
    in_bulk('HDEL', after_key(on), ids)
    for i = 1, #dependents, 2 do
      tell(dependents[i], dependents[i + 1], on, state, reason)
      told = told + 1
    end
    if #dependents == 0 then
      await_no_more(on)
      call('LPOP', UNTOLD)
      on = call('LINDEX', UNTOLD, 0)
    end
  end
  telling = false
end

-- A submitted graph that is not taken in yet: a list of its documents, STAGED values each.
local STAGED = 6
local function graph_key(token)
  return PREFIX .. 'graph:' .. token
end

-- A job's fields, and for a PENDING one `waits`: the first few of what it waits for.
local WAITS_SHOWN = 3
local function fields_of(id, document)
  local fields = call('HGETALL', job_key(id))
  local score, at = nil, nil
  if #fields == 0 then
    score, at = as_submitted(id)
  end
  if score then
    return {'s', 'RUNNABLE', 'o', score, 't', at}
  end
  if call('HEXISTS', job_key(id), 'N') == 1 then
    fields[#fields + 1] = 'alive'
    fields[#fields + 1] = call('SCARD', alive_key(id))
  end
  local job = call('HMGET', job_key(id), 's', 'G')
  if job[1] == 'RUNNABLE' and job[2] and bound(job[2]) then
    local gang = call('HMGET', PREFIX .. 'gang:' .. job[2], 'n', 'A', 's')
    fields[#fields + 1] = 'gang'
    fields[#fields + 1] = table.concat(gang, ' ')
  end
  if job[1] ~= 'PENDING' then
    return fields
  end
  local shown = {}
  for _, on in ipairs(depends_on(document)) do
    if #shown < WAITS_SHOWN and call('HEXISTS', after_key(on), id) == 1 then
      local state = look_at(on)
      shown[#shown + 1] = on .. ' (' .. (state or 'not in the queue') .. ')'
    end
  end
  fields[#fields + 1] = 'waits'
  fields[#fields + 1] = table.concat(shown, ', ')
  return fields
end
