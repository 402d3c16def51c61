-- ARGV: 5 entry id. Answers the entry in a list, or an empty list.
return call('XRANGE', DEAD, ARGV[5], ARGV[5])
