-- ARGV: 5 version of the policies, 6 why their candidate is rolled back. The first reason of a version
-- stands and is answered; those of the latest versions are kept.
local KEY, KEPT = PREFIX .. 'roll_backs', 50
local known = call('HGET', KEY, ARGV[5])
if known then
  return string.match(known, '^%d+:(.*)$')
end
local oldest, oldest_at
if call('HLEN', KEY) >= KEPT then
  local all = call('HGETALL', KEY)
  for i = 1, #all, 2 do
    local at = tonumber(string.match(all[i + 1], '^(%d+):'))
    if not oldest or at < oldest_at or (at == oldest_at and all[i] < oldest) then
      oldest, oldest_at = all[i], at
    end
  end
end
if oldest then
  call('HDEL', KEY, oldest)
end
call('HSET', KEY, ARGV[5], int(NOW) .. ':' .. ARGV[6])
return ARGV[6]
