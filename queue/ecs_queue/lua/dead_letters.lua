-- ARGV: 5 how many. Answers the newest first.
return call('XREVRANGE', DEAD, '+', '-', 'COUNT', ARGV[5])
