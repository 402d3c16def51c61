-- ARGV: 5 how many. Answers the oldest entries, left where they are.
return call('XRANGE', INBOX, '-', '+', 'COUNT', ARGV[5])
