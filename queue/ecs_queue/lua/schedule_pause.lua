-- ARGV: 5 name, 6 why it is paused ('' = it goes on), 7 the next tick then. Answers 0 for no such schedule.
local name, why = ARGV[5], ARGV[6]
local key = PREFIX .. 'schedule:' .. name
if call('EXISTS', key) == 0 then
  return 0
elseif why ~= '' then
  call('HSET', key, 'paused', why)
  call('ZREM', PREFIX .. 'ticks', name)
elseif call('HDEL', key, 'paused', 'aside') > 0 then
  call('HSET', key, 'next', ARGV[7])
  call('HDEL', key, 'begun')
  call('ZADD', PREFIX .. 'ticks', ARGV[7], name)
end
return 1
