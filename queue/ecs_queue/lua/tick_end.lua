-- ARGV: 5 name, 6 document and 7 next tick, as this scheduler knows them, 8 the tick to go on with, 9 the
-- job that was submitted ('' = none), 10 a note. Whoever comes second changes nothing.
local name, job = ARGV[5], ARGV[9]
local key = PREFIX .. 'schedule:' .. name
local kept = call('HMGET', key, 'doc', 'next', 'paused', 'aside')
if kept[1] ~= ARGV[6] or kept[2] ~= ARGV[7] then
  return 0
end
call('HSET', key, 'next', ARGV[8], 'note', ARGV[10])
call('HDEL', key, 'begun')
if job ~= '' then
  call('HSET', key, 'last', job)
end
call('HINCRBY', key, job ~= '' and 'fired' or 'skipped', 1)
if not kept[3] and not kept[4] then
  call('ZADD', PREFIX .. 'ticks', ARGV[8], name)
end
return 1
