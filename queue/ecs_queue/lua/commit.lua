-- Submits the graph that was laid down under a token: from here on nothing of it gets lost.
--
-- ARGV: 5 token. Answers nil where there is none. Remembered for an hour.
local done_key = PREFIX .. 'committed:' .. ARGV[5]
if call('EXISTS', done_key) == 1 then
  return 1
elseif call('PERSIST', graph_key(ARGV[5])) == 0 then
  return false
end
call('RPUSH', GRAPHS, ARGV[5])
call('SET', done_key, '', 'EX', 3600)
return 1
