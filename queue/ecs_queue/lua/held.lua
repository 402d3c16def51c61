-- ARGV: 5 owner. Answers the ids it has claimed and not launched.
return claimed_by(ARGV[5])
