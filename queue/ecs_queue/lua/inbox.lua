-- ARGV: 5 how many. Answers the oldest entries, left where they are, and how many submitted graphs
-- are not taken in yet.
return {call('XRANGE', INBOX, '-', '+', 'COUNT', ARGV[5]), call('LLEN', GRAPHS)}
