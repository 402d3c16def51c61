-- ARGV: 5 reason, or '' to go on. Answers how many claims went back, or whether there was a pause.
if ARGV[5] == '' then
  return call('DEL', PAUSED)
end
call('SET', PAUSED, ARGV[5])
local moved = 0
for _, owner in ipairs(call('ZRANGE', OWNERS, 0, -1)) do
  moved = moved + give_up_claims(owner)
end
return moved
