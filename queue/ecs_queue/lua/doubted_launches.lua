-- ARGV: 5 how long a launch is doubted, ms. Answers the tokens, oldest first; forgets older ones.
local doubts = PREFIX .. 'doubts'
call('ZREMRANGEBYSCORE', doubts, '-inf', int(NOW - tonumber(ARGV[5])))
return call('ZRANGE', doubts, 0, -1)
