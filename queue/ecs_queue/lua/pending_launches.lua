-- ARGV: 5 least age in ms, 6 how many. Answers pairs: token, fields of the ledger entry.
local answer = {}
local until_ms = int(NOW - tonumber(ARGV[5]))
for _, token in ipairs(call('ZRANGEBYSCORE', INTENTS, '-inf', until_ms, 'LIMIT', 0, ARGV[6])) do
  answer[#answer + 1] = token
  answer[#answer + 1] = call('HGETALL', PREFIX .. 'launch:' .. token)
end
return answer
