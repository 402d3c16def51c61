-- ARGV: 5 a fresh word. Answers the queue's own, which is made once.
call('SETNX', PREFIX .. 'identity', ARGV[5])
return call('GET', PREFIX .. 'identity')
