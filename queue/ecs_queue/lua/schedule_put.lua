-- ARGV: 5 name, 6 document, 7 next tick, 8 1 = replace another one. Answers 1; 0 where another one has
-- the name.
--
-- schedule:<name> is a hash: doc the document, next the tick to come (ms), begun a tick whose submission
-- was begun, left the last one that was left out, last the job of the last one, fired and skipped how many, paused why,
-- aside why a scheduler could not read it, note; `schedules` names all, `ticks` those that are neither
-- paused nor aside, under next.
local name, document = ARGV[5], ARGV[6]
local key = PREFIX .. 'schedule:' .. name
local kept = call('HMGET', key, 'doc', 'aside')
local same = kept[1] == document
if same and not kept[2] then
  return 1
elseif kept[1] and not same and ARGV[8] ~= '1' then
  return 0
end
call('HSET', key, 'doc', document, 'next', ARGV[7])
call('HDEL', key, 'begun', 'note', 'aside')
call('SADD', PREFIX .. 'schedules', name)
if call('HEXISTS', key, 'paused') == 0 then
  call('ZADD', PREFIX .. 'ticks', ARGV[7], name)
end
return 1
