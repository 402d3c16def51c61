-- ARGV: 5 all | due | one, 6 the name of one. Answers the fields of each in a list of its own.
local names = {ARGV[6]}
if ARGV[5] == 'all' then
  names = call('SMEMBERS', PREFIX .. 'schedules')
  table.sort(names)
elseif ARGV[5] == 'due' then
  names = call('ZRANGEBYSCORE', PREFIX .. 'ticks', '-inf', NOW_TEXT, 'LIMIT', 0, 100)
end
local answer = {}
for _, name in ipairs(names) do
  local fields = call('HGETALL', PREFIX .. 'schedule:' .. name)
  if #fields > 0 then
    fields[#fields + 1] = 'name'
    fields[#fields + 1] = name
    answer[#answer + 1] = fields
  end
end
return answer
