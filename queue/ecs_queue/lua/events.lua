-- ARGV: 5 entry id to go on after ('-' = from the first one kept), 6 how many.
local from = ARGV[5] == '-' and '-' or '(' .. ARGV[5]
return call('XRANGE', EVENTS, from, '+', 'COUNT', ARGV[6])
