-- Answers pairs: state, number of jobs. Counted from the sets themselves, so nothing can drift.
local runnable = call('ZCARD', READY) + call('ZCARD', DELAYED)
for _, owner in ipairs(call('ZRANGE', OWNERS, 0, -1)) do
  runnable = runnable + call('HLEN', claimed_key(owner))
end
local answer = {
  'SUBMITTED', call('XLEN', INBOX), 'RUNNABLE', runnable,
  'STARTING', call('ZCARD', IN.STARTING), 'RUNNING', call('ZCARD', IN.RUNNING),
}
for _, state in ipairs({'SUCCEEDED', 'FAILED', 'CANCELLED'}) do
  answer[#answer + 1] = state
  answer[#answer + 1] = call('ZCOUNT', IN[state], '(' .. KEPT_SINCE, '+inf')
end
return answer
