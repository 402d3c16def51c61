-- ARGV: 5 budget of infrastructure failures, then five a task: ARN, S | F | X (failed, not to be
--   retried) | I, reason, exit code ('' = none), delay in ms of a retry.
-- Answers for each the state that its job went to, or nil for a task that is not known.
local ATTEMPTS_KEPT = 20

-- Redis takes nothing back when a script fails half-way, so of each task everything is read and decided
-- before the first write, and it is forgotten last: whoever asks again starts from what is there.
local function finish(task, verdict, reason, exit_code, delay_ms)
  local id = call('HGET', LIVE, task)
  if not id then
    return ended_as(task)
  end
  local key = job_key(id)
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
    elseif broken <= tonumber(ARGV[5]) then
      return 'RUNNABLE', reason, 'i', broken
    end
    local why = ' (more infrastructure failures than the ' .. ARGV[5] .. ' allowed)'
    return 'FAILED', reason .. why, 'i', broken
  end

  local to, why, count, number = decide()
  local wait_ms, past = job[10] and 0 or tonumber(delay_ms), history()
  if from then
    local fields = {'h', past}
    local function note(field, value)
      fields[#fields + 1], fields[#fields + 2] = field, value
    end
    if count then
      note(count, int(number))
    end
    if to == 'RUNNABLE' then
      if count then
        note('r', NOW_TEXT)
      end
      call('HSET', key, unpack(fields))
      run_again(id, from, why, wait_ms)
    else
      if exit_code ~= '' then
        note('x', exit_code)
      end
      call('HSET', key, unpack(fields))
      end_job(id, from, to, why)
    end
  end
  remember_end(task, to)
  call('HDEL', LIVE, task)
  return to
end

local answers = {}
for i = 6, #ARGV, 5 do
  answers[#answers + 1] = finish(unpack(ARGV, i, i + 4))
end
return answers
