-- ARGV: 5 owner. Answers the ids it has claimed and not launched.
return call('HKEYS', claimed_key(ARGV[5]))
