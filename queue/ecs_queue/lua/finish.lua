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

local function remember_attempt()
  local job = call('HMGET', key, 'h', 'z', 'u')
  local attempt = table.concat(
    {task, job[2] or '', job[3] or '', NOW_TEXT, exit_code, reason}, '\t')
  local past = job[1] and job[1] .. '\n' .. attempt or attempt
  local _, breaks = string.gsub(past, '\n', '')
  if breaks >= ATTEMPTS_KEPT then
    past = string.sub(past, string.find(past, '\n', 1, true) + 1)
  end
  call('HSET', key, 'h', past)
end

-- The state to go to, and why.
local function decide()
  local job = call('HMGET', key, 'c', 'm', 'e')
  if verdict == 'S' then
    return 'SUCCEEDED', reason
  elseif job[1] then
    return 'CANCELLED', job[1]
  elseif job[3] or verdict == 'X' then
    call('HINCRBY', key, 'f', 1)
    return 'FAILED', job[3] or reason
  elseif verdict == 'F' then
    local attempts, failed = tonumber(job[2] or '1'), call('HINCRBY', key, 'f', 1)
    local which = ' (attempt ' .. int(failed) .. ' of ' .. int(attempts) .. ')'
    return failed < attempts and 'RUNNABLE' or 'FAILED', reason .. (attempts > 1 and which or '')
  end
  local failed = call('HINCRBY', key, 'i', 1)
  if failed <= tonumber(ARGV[10]) then
    return 'RUNNABLE', reason
  end
  return 'FAILED', reason .. ' (more infrastructure failures than the ' .. ARGV[10] .. ' allowed)'
end

local from = call('HGET', key, 's')
remember_attempt()
call('HDEL', LIVE, task)
local to, why = decide()
if to == 'RUNNABLE' then
  call('HSET', key, 'r', NOW_TEXT)
  run_again(id, from, why, tonumber(ARGV[9]))
else
  if exit_code ~= '' then
    call('HSET', key, 'x', exit_code)
  end
  end_job(id, from, to, why)
end
call('SET', ended_key, to, 'EX', REMEMBERED_S)
return to
