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

-- One call of a command that takes any number of arguments, a thousand at a time.
local function in_bulk(command, key, values)
  for first = 1, #values, 1000 do
    call(command, key, unpack(values, first, math.min(first + 999, #values)))
  end
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

-- The ids that a document depends on.
local function depends_on(document)
  local ids = {}
  for _, each in ipairs(cjson.decode(document).depends_on or {}) do
    ids[#ids + 1] = each.job
  end
  return ids
end

local tell_dependents, hand_out, end_rest, child_ended, look_at, wake

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
