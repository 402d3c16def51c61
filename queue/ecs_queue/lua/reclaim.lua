-- Answers how many claims went back from owners whose lease ran out.
local moved = 0
tell_dependents()
for _, owner in ipairs(call('ZRANGEBYSCORE', OWNERS, '-inf', NOW_TEXT)) do
  moved = moved + give_back(owner)
end
return moved
