-- ARGV: 5 token, then four a job: S | R | A | F, id,
--   S: task ARN, instance ARN ('' = not known)     R: reason, delay in ms     A, F: reason, 0
-- A is R by absence: the token stays doubted. A task that some job has is no other job's.
-- Whatever the ledger entry no longer names was settled before; a name is struck out last, since
-- Redis takes nothing back when a script fails half-way.
local token = ARGV[5]
local launch_key = PREFIX .. 'launch:' .. token

local function started(id, task, instance)
  local key = job_key(id)
  local job = call('HMGET', key, 'n', 'G')
  local launches = tonumber(job[1] or '0') + 1
  if instance ~= '' then
    call('HSET', key, 'a', task, 'n', int(launches), 'z', instance)
  else
    call('HSET', key, 'a', task, 'n', int(launches))
  end
  if not job[1] then
    was_launched(id)
  end
  call('HSET', LIVE, task, id)
  if job[2] then
    acknowledge(job[2], id)
  end
end

-- Nothing was started: a requested cancellation comes first.
local function not_started(kind, id, reason, delay_ms)
  local cancelled = call('HGET', job_key(id), 'c')
  if cancelled then
    end_job(id, 'STARTING', 'CANCELLED', cancelled)
  elseif kind ~= 'F' then
    run_again(id, 'STARTING', reason, delay_ms)
  else
    end_job(id, 'STARTING', 'FAILED', reason)
  end
end

for i = 6, #ARGV, 4 do
  local kind, id = ARGV[i], ARGV[i + 1]
  local taken = kind == 'S' and is_known_task(ARGV[i + 2])
  if not taken and call('HEXISTS', launch_key, 'job:' .. id) == 1 then
    if kind == 'S' then
      started(id, ARGV[i + 2], ARGV[i + 3])
    else
      if kind == 'A' then
        call('ZADD', PREFIX .. 'doubts', NOW_TEXT, token)
      end
      not_started(kind, id, ARGV[i + 2], tonumber(ARGV[i + 3]))
    end
    call('HDEL', launch_key, 'job:' .. id)
  end
end
if call('HLEN', launch_key) <= 2 then
  call('DEL', launch_key)
  call('ZREM', INTENTS, token)
end
return 1
