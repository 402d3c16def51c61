-- Where a RUNNABLE job waits, and how it gets there and away. Shared by every script, behind what schedulers
-- hold.

-- parked:<share> holds what a claim came across while that share had its fair part already; `parked`
-- names these shares, `shares` all that were ever seen beside `default`.
local PARKED, SHARES = PREFIX .. 'parked', PREFIX .. 'shares'
local function parked_key(share)
  return PREFIX .. 'parked:' .. share
end

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
