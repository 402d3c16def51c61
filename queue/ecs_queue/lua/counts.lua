-- Answers pairs: state, number of jobs. Counted from the sets themselves, so nothing can drift.
local runnable = call('ZCARD', READY) + call('ZCARD', DELAYED) + call('ZCARD', SUSPENDED)
  + call('ZCARD', GATHERED)
for _, share in ipairs(call('SMEMBERS', PARKED)) do
  runnable = runnable + call('ZCARD', parked_key(share))
end
for _, owner in ipairs(call('ZRANGE', OWNERS, 0, -1)) do
  runnable = runnable + call('HLEN', earlier_key(owner))
  for _, claim in ipairs(call('HVALS', lately_key(owner))) do
    runnable = runnable + select(2, string.gsub(claim, '%S+', ''))
  end
end
local submitted = call('XLEN', INBOX)
for _, graph in ipairs(call('LRANGE', GRAPHS, 0, -1)) do
  submitted = submitted + call('LLEN', graph_key(graph)) / STAGED
end
local answer = {
  'SUBMITTED', submitted, 'PENDING', call('ZCARD', IN.PENDING), 'RUNNABLE', runnable,
  'STARTING', call('ZCARD', IN.STARTING), 'RUNNING', call('ZCARD', IN.RUNNING),
}
for _, state in ipairs({'SUCCEEDED', 'FAILED', 'CANCELLED'}) do
  answer[#answer + 1] = state
  answer[#answer + 1] = call('ZCOUNT', IN[state], '(' .. KEPT_SINCE, '+inf')
end
return answer
