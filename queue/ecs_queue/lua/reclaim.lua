-- Answers how many claims went back from owners whose lease ran out.
local moved = 0
if call('EXISTS', UNTOLD) == 1 then
  tell_dependents()
end
for _, owner in ipairs(call('ZRANGEBYSCORE', OWNERS, '-inf', NOW_TEXT)) do
  moved = moved + give_back(owner)
end
return moved
