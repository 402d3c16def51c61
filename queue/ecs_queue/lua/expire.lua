-- ARGV: 5 how many at most.
-- Acts on RUNNABLE jobs whose deadline has passed, or that waited longer than they may, and on gangs
-- that did not come or start in time.
-- Answers how many it looked at.
local function waited(id, key, bound)
  local ms, action, priority = string.match(bound, '^(%d+):(%a):?(%d*)$')
  local seconds = int(tonumber(ms) / 1000)
  call('HDEL', key, 'b')
  if action == 'C' then
    take_out(id)
    end_job(id, 'RUNNABLE', 'CANCELLED', 'waited longer than its max_wait of ' .. seconds .. ' s')
    return
  end
  local reason = 'waited longer than ' .. seconds .. ' s; its priority is now ' .. priority
  move_to(id, tonumber(priority), reason)
  watch(id)
end

local ids = call('ZRANGEBYSCORE', DUE, '-inf', NOW_TEXT, 'LIMIT', 0, ARGV[5])
for _, id in ipairs(ids) do
  local key = job_key(id)
  local job = call('HMGET', key, 's', 'd', 'b')
  if job[1] ~= 'RUNNABLE' then
    call('ZREM', DUE, id)
  elseif job[2] and tonumber(job[2]) <= NOW then
    take_out(id)
    end_job(id, 'RUNNABLE', 'FAILED', 'not started by its deadline')
  else
    waited(id, key, job[3])
  end
end
local gangs = call('ZRANGEBYSCORE', GANGS, '-inf', NOW_TEXT, 'LIMIT', 0, ARGV[5])
for _, gang in ipairs(gangs) do
  time_is_over(gang)
end
return #ids + #gangs
