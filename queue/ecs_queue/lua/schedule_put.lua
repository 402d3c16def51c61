-- ARGV: 5 name, 6 document, 7 next tick, 8 1 = replace another one. Answers 1; 0 where another one has
-- the name.
--
-- schedule:<name> is a hash: doc the document, next the tick to come (ms), begun a tick whose submission
-- was begun, left the last one that was left out, last the job of the last one, fired and skipped how many, paused why, note; `schedules`
-- names all, `ticks` those that are not paused, under next.
local name, document = ARGV[5], ARGV[6]
local key = PREFIX .. 'schedule:' .. name
local before = call('HGET', key, 'doc')
if before == document then
  return 1
elseif before and ARGV[8] ~= '1' then
  return 0
end
call('HSET', key, 'doc', document, 'next', ARGV[7])
call('HDEL', key, 'begun', 'note')
call('SADD', PREFIX .. 'schedules', name)
if call('HEXISTS', key, 'paused') == 0 then
  call('ZADD', PREFIX .. 'ticks', ARGV[7], name)
end
return 1
