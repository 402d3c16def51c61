-- Begins to submit the job of a tick, unless another scheduler is further.
--
-- ARGV: 5 name, 6 document and 7 next tick, as this scheduler knows them, 8 the tick, 9 the tick after it,
--   10 1 = not while the job of the last tick has not ended.
-- Answers FIRE | SKIP the last job has not ended | GONE it is not as this scheduler thinks.
local name, tick = ARGV[5], ARGV[8]
local key = PREFIX .. 'schedule:' .. name
local kept = call('HMGET', key, 'doc', 'next', 'begun', 'last', 'paused', 'left', 'aside')
if kept[6] == tick and kept[1] == ARGV[6] then
  return 'SKIP'
elseif kept[1] ~= ARGV[6] or kept[2] ~= ARGV[7] or kept[5] or kept[7] then
  return 'GONE'
elseif kept[3] then
  return kept[3] == tick and 'FIRE' or 'GONE'
end
local state = kept[4] and look_at(kept[4])
local ended = {SUCCEEDED = true, FAILED = true, CANCELLED = true}
if ARGV[10] == '1' and state and not ended[state] then
  call('HSET', key, 'next', ARGV[9], 'left', tick, 'note', 'left out: ' .. kept[4] .. ' is ' .. state)
  call('HINCRBY', key, 'skipped', 1)
  call('ZADD', PREFIX .. 'ticks', ARGV[9], name)
  return 'SKIP'
end
call('HSET', key, 'begun', tick)
return 'FIRE'
