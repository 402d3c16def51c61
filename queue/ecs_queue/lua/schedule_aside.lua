-- Submits nothing more of a schedule whose document the scheduler cannot read.
--
-- ARGV: 5 name, 6 the document, 7 why. Answers 0 where it has another document by now.
local name, why = ARGV[5], ARGV[7]
local key = PREFIX .. 'schedule:' .. name
if call('HGET', key, 'doc') ~= ARGV[6] then
  return 0
end
call('HSET', key, 'aside', why)
call('ZREM', PREFIX .. 'ticks', name)
return 1
