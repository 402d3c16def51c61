-- ARGV: 5 version of the policies. Answers why their candidate was rolled back; nil if it was not.
local known = call('HGET', PREFIX .. 'roll_backs', ARGV[5])
return known and string.match(known, '^%d+:(.*)$')
