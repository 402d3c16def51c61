-- ARGV: 5 ms of waiting that are worth ARGV 6 points of priority, 7 how many jobs to move at most, then
-- RUNNABLE ids that somebody holds. Answers how many were moved up.
--
-- Looked at are these, and in the queue the first of each priority, who have waited longest there:
-- priority = min(1000, what it was at first + points for each full step of waiting), never less than now.
local STEP_MS, POINTS, MOST = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local LOOKED_AT, HIGHEST = 100, 1000
local moved = 0

local function look(id)
  local key = job_key(id)
  unfold(id)
  local job = call('HMGET', key, 's', 'o', 'O', 'r', 't')
  if job[1] ~= 'RUNNABLE' then
    return
  end
  local now = HIGHEST - math.floor(tonumber(job[2]) / STEP)
  local first = tonumber(job[3] or now)
  local steps = math.floor((NOW - tonumber(job[4] or job[5])) / STEP_MS)
  local due = math.min(HIGHEST, first + POINTS * steps)
  if due > now then
    move_to(id, due, '')
    call('HSET', key, 'O', int(first))
    moved = moved + 1
  end
end

local function look_through(key)
  local from = int(STEP)  -- whoever stands before it has the highest priority already
  repeat
    local first = call('ZRANGEBYSCORE', key, from, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
    if #first > 0 then
      local class = math.floor(tonumber(first[2]) / STEP)
      local last = '(' .. int((class + 1) * STEP)
      for _, id in ipairs(call('ZRANGEBYSCORE', key, first[2], last, 'LIMIT', 0, LOOKED_AT)) do
        look(id)
      end
      from = int((class + 1) * STEP)
    end
  until #first == 0 or moved >= MOST
end

for i = 8, #ARGV do
  look(ARGV[i])
end
look_through(READY)
for _, share in ipairs(call('SMEMBERS', PARKED)) do
  look_through(parked_key(share))
end
return moved
