-- ARGV: 5 least age in ms, 6 how many. Answers pairs: token, fields of the ledger entry,
-- among them the time now, so that nobody compares clocks.
-- What is later than now was written before the clock was set back, and nobody knows how old it is.
local answer = {}
local function add(from, to)
  for _, token in ipairs(call('ZRANGEBYSCORE', INTENTS, from, to, 'LIMIT', 0, ARGV[6])) do
    answer[#answer + 1] = token
    local fields = call('HGETALL', PREFIX .. 'launch:' .. token)
    fields[#fields + 1] = 'now'
    fields[#fields + 1] = NOW_TEXT
    answer[#answer + 1] = fields
  end
end
add('-inf', int(NOW - tonumber(ARGV[5])))
add('(' .. NOW_TEXT, '+inf')
return answer
