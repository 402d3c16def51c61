-- ARGV: 5 task ARN, 6 S | F | X (failed, not to be retried) | I, 7 reason, 8 exit code ('' = none),
--   9 delay in ms of a retry, 10 budget of infrastructure failures.
-- Answers the state that the job went to, or nil for a task that is not known.
local REMEMBERED_S, ATTEMPTS_KEPT = 7200, 20
local task, verdict, reason, exit_code = ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local ended_key = PREFIX .. 'ended:' .. task
local id = call('HGET', LIVE, task)
if not id then
  return call('GET', ended_key)
end
local key = job_key(id)

-- Redis takes nothing back when a script fails half-way, so everything is read and decided before
-- the first write, and the task is forgotten last: whoever asks again starts from what is there.
local job = call('HMGET', key, 's', 'c', 'm', 'e', 'f', 'i', 'h', 'z', 'u', 'B', 'g')
local from = job[1]

local function history()
  local attempt = table.concat(
    {task, job[8] or '', job[9] or '', NOW_TEXT, exit_code, reason, job[11] or ''}, '\t')
  local past = job[7] and job[7] .. '\n' .. attempt or attempt
  local _, breaks = string.gsub(past, '\n', '')
  if breaks >= ATTEMPTS_KEPT then
    past = string.sub(past, string.find(past, '\n', 1, true) + 1)
  end
  return past
end

-- The state to go to, why, and which count of failures goes up to what.
local function decide()
  local failed, broken = tonumber(job[5] or '0') + 1, tonumber(job[6] or '0') + 1
  if verdict == 'S' then
    return 'SUCCEEDED', reason
  elseif job[2] then
    return 'CANCELLED', job[2]
  elseif job[10] and not job[4] then
    return 'RUNNABLE', job[10]
  elseif job[4] or verdict == 'X' then
    return 'FAILED', job[4] or reason, 'f', failed
  elseif verdict == 'F' then
    local attempts = tonumber(job[3] or '1')
    local which = ' (attempt ' .. int(failed) .. ' of ' .. int(attempts) .. ')'
    local to = failed < attempts and 'RUNNABLE' or 'FAILED'
    return to, reason .. (attempts > 1 and which or ''), 'f', failed
  elseif broken <= tonumber(ARGV[10]) then
    return 'RUNNABLE', reason, 'i', broken
  end
  local why = ' (more infrastructure failures than the ' .. ARGV[10] .. ' allowed)'
  return 'FAILED', reason .. why, 'i', broken
end

local to, why, count, number = decide()
local delay_ms, past = job[10] and 0 or tonumber(ARGV[9]), history()
if from then
  call('HSET', key, 'h', past)
  if count then
    call('HSET', key, count, int(number))
  end
  if to == 'RUNNABLE' then
    if count then
      call('HSET', key, 'r', NOW_TEXT)
    end
    run_again(id, from, why, delay_ms)
  else
    if exit_code ~= '' then
      call('HSET', key, 'x', exit_code)
    end
    end_job(id, from, to, why)
  end
end
call('SET', ended_key, to, 'EX', REMEMBERED_S)
call('HDEL', LIVE, task)
return to
