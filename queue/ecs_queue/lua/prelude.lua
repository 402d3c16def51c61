-- Stands in front of every script: the queue's keys, the time, and the steps that several share.
--
-- ARGV: 1 key prefix, 2 now in ms ('' = the server's clock), 3 retention in s, 4 events kept.
-- A job lives in two keys: doc:<id> (its canonical document) and job:<id>, a hash of
--   s state     o score in ready   t submitted ms   r runnable ms, if other than t
--   w reason    m attempts, if > 1   c reason of a cancel request
--   n effective launches   f failed attempts   i infrastructure failures   h past attempts
--   l launch token   a task ARN   z instance ARN   g starting ms   u running ms
--   y ended ms   x exit code
-- Short names and a separate document keep the hash in its compact encoding. Who holds a job says
-- claimed:<owner>, a hash of job id to epoch: claiming a hundred jobs is one write, not hundreds.
local call = redis.call
local INBOX, READY, DELAYED, OWNERS = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local CLAIMS, INTENTS, LIVE, CANCELS = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local DEAD, EVENTS, SEQ, EPOCH = KEYS[9], KEYS[10], KEYS[11], KEYS[12]
local IN = {
  STARTING = KEYS[13], RUNNING = KEYS[14],
  SUCCEEDED = KEYS[15], FAILED = KEYS[16], CANCELLED = KEYS[17],
}
local PREFIX, RETENTION_S, EVENTS_KEPT = ARGV[1], ARGV[3], ARGV[4]

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

local function claimed_key(owner)
  return PREFIX .. 'claimed:' .. owner
end

-- Whether a task is, or was, some job's.
local function is_known_task(task)
  return call('HEXISTS', LIVE, task) == 1 or call('EXISTS', PREFIX .. 'ended:' .. task) == 1
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

local function to_queue(id, score, delay_ms)
  if delay_ms > 0 then
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

-- One call of a command that takes any number of arguments, a thousand at a time.
local function in_bulk(command, key, values)
  for first = 1, #values, 1000 do
    call(command, key, unpack(values, first, math.min(first + 999, #values)))
  end
end

-- Ends the owner's lease; its claims go back to ready under their old score.
local function give_back(owner)
  local ids = call('HKEYS', claimed_key(owner))
  local places = {}
  for _, id in ipairs(ids) do
    places[#places + 1] = call('HGET', job_key(id), 'o')
    places[#places + 1] = id
  end
  in_bulk('ZADD', READY, places)
  call('DEL', claimed_key(owner))
  call('HDEL', CLAIMS, owner)
  call('ZREM', OWNERS, owner)
  return #ids
end

local function end_job(id, from, to, reason)
  local key = job_key(id)
  call('HSET', key, 's', to, 'w', reason, 'y', NOW_TEXT)
  call('SREM', CANCELS, id)
  if IN[from] then
    call('ZREM', IN[from], id)
  end
  for _, state in ipairs({'SUCCEEDED', 'FAILED', 'CANCELLED'}) do
    call('ZREMRANGEBYSCORE', IN[state], '-inf', KEPT_SINCE)
  end
  call('ZADD', IN[to], NOW_TEXT, id)
  call('EXPIRE', key, RETENTION_S)
  call('EXPIRE', doc_key(id), RETENTION_S)
  report(id, to, reason)
end

-- STARTING or RUNNING back to RUNNABLE; what belonged to the launch is forgotten.
local function run_again(id, from, reason, delay_ms)
  local key = job_key(id)
  call('HSET', key, 's', 'RUNNABLE', 'w', reason)
  call('HDEL', key, 'l', 'a', 'z', 'g', 'u', 'x')
  call('ZREM', IN[from], id)
  to_queue(id, call('HGET', key, 'o'), delay_ms)
  report(id, 'RUNNABLE', reason)
end
