-- ARGV: 5 a fresh key. Answers the queue's own, which is this one if it had none.
local key = PREFIX .. 'signing_key'
call('SETNX', key, ARGV[5])
return call('GET', key)
