-- ARGV: 5 an ended state. Forgets some of the jobs that ended in it first, where there are more than are
-- kept; answers how many.
local before = call('ZCARD', IN[ARGV[5]])
for _ = 1, 25 do
  forget_oldest(ARGV[5])
end
return before - call('ZCARD', IN[ARGV[5]])
