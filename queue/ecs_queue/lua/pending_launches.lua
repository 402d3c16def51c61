-- ARGV: 5 least age in ms, 6 how many. Answers pairs: token, fields of the ledger entry,
-- among them the time now, so that nobody compares clocks.
local answer = {}
local until_ms = int(NOW - tonumber(ARGV[5]))
for _, token in ipairs(call('ZRANGEBYSCORE', INTENTS, '-inf', until_ms, 'LIMIT', 0, ARGV[6])) do
  answer[#answer + 1] = token
  local fields = call('HGETALL', PREFIX .. 'launch:' .. token)
  fields[#fields + 1] = 'now'
  fields[#fields + 1] = NOW_TEXT
  answer[#answer + 1] = fields
end
return answer
