-- ARGV: 5 cursor. Answers the next cursor and pairs: task ARN, job id.
return call('HSCAN', LIVE, ARGV[5], 'COUNT', 1000)
