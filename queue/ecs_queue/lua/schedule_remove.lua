-- ARGV: 5 name. What it submitted runs on.
call('ZREM', PREFIX .. 'ticks', ARGV[5])
call('SREM', PREFIX .. 'schedules', ARGV[5])
call('DEL', PREFIX .. 'schedule:' .. ARGV[5])
return 1
