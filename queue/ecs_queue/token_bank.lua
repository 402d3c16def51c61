-- One token bucket that several processes draw on. KEYS: 1 the bucket, 2 who draws on it.
-- ARGV: 1 now in ms ('' = the server's clock), 2 who, 3 word of this request, 4 rate per second,
--   5 burst, 6 tokens given back, 7 '1' if a call was throttled, then pairs: tokens to leave, tokens
--   wanted; the most urgent pair first.
-- Answers one text: tokens granted for each pair, then tokens left, rate now, who draws now, who is
-- there. A request that is repeated is answered as before and changes nothing.
--
-- The bucket is a hash: tokens, at ms, factor (of the rate; falls with throttles), ceiling (the factor
-- up to which it recovers fast), cut ms. Who: name -> seen ms, wanted ms, rate, burst, request, answer.
local FORGOTTEN_S, PRESENT_MS, DRAWING_MS, CUT_EVERY_MS = 900, 10000, 1000, 1000
local AHEAD_MS = 2000
local LOWEST, FAST_PER_S, SLOW_PER_S, BELOW_CEILING = 0.1, 0.1, 0.01, 0.95
local call = redis.call
local bucket_key, who_key, me, word = KEYS[1], KEYS[2], ARGV[2], ARGV[3]

local now = tonumber(ARGV[1])
if not now then
  local time = call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- A clock that was set back says so by times that lie ahead of it. They count from now on.
local function since(moment)
  return moment <= now + AHEAD_MS and now - moment or math.huge
end

-- Where the settings of several differ, the most careful ones hold.
local rate, burst = tonumber(ARGV[4]), tonumber(ARGV[5])
local wanted_at, drawing, present, gone = 0, 1, 1, {}
local who = call('HGETALL', who_key)
for i = 1, #who, 2 do
  local seen, wanted, its_rate, its_burst, its_word, answer =
    string.match(who[i + 1], '^(%S+) (%S+) (%S+) (%S+) (%S+) (.*)$')
  if who[i] == me then
    if its_word == word then
      return answer
    end
    wanted_at = tonumber(wanted)
  elseif since(tonumber(seen)) > PRESENT_MS then
    gone[#gone + 1] = who[i]
  else
    present = present + 1
    rate, burst = math.min(rate, tonumber(its_rate)), math.min(burst, tonumber(its_burst))
    if since(tonumber(wanted)) <= DRAWING_MS then
      drawing = drawing + 1
    end
  end
end

local bucket = call('HMGET', bucket_key, 'tokens', 'at', 'factor', 'ceiling', 'cut')
local tokens, at = tonumber(bucket[1] or burst), tonumber(bucket[2] or now)
local factor, ceiling = tonumber(bucket[3] or 1), tonumber(bucket[4] or 1)
local cut = tonumber(bucket[5] or '-1e15')
if at > now + AHEAD_MS then
  at = now
end
local elapsed_s = math.max(0, now - at) / 1000
tokens = math.min(burst, tokens + elapsed_s * rate * factor + tonumber(ARGV[6]))
local fast_s = math.min(elapsed_s, math.max(0, ceiling - factor) / FAST_PER_S)
factor = math.min(1, factor + fast_s * FAST_PER_S + (elapsed_s - fast_s) * SLOW_PER_S)
if factor >= 1 then
  ceiling = 1
end
if ARGV[7] == '1' then
  tokens = math.min(tokens, 0)
  if since(cut) >= CUT_EVERY_MS then
    ceiling, factor, cut = factor * BELOW_CEILING, math.max(LOWEST, factor / 2), now
  end
end

local answer = {}
for i = 8, #ARGV, 2 do
  -- Of another's small burst, too, something is left to spend.
  local leave, wanted = math.min(tonumber(ARGV[i]), math.floor(burst / 4)), tonumber(ARGV[i + 1])
  -- What must always find a token need not share it; of the rest nobody takes another's part, which is
  -- a whole token at least: of less than one each nobody could have any.
  local free = tokens - leave
  local part = leave == 0 and tokens or math.max(free / drawing, math.min(1, free))
  local granted = math.max(0, math.min(wanted, math.floor(part)))
  tokens = tokens - granted
  answer[#answer + 1] = granted
  if wanted > 0 then
    wanted_at = now
  end
end
answer[#answer + 1] = string.format('%.3f %.3f %d %d', tokens, rate * factor, drawing, present)
local text = table.concat(answer, ' ')

if #gone > 0 then
  call('HDEL', who_key, unpack(gone, 1, math.min(#gone, 1000)))
end
call('HSET', bucket_key, 'tokens', string.format('%.6f', tokens), 'factor',
  string.format('%.6f', factor), 'ceiling', string.format('%.6f', ceiling),
  'cut', string.format('%.0f', cut), 'at', string.format('%.0f', math.max(now, at)))
call('EXPIRE', bucket_key, FORGOTTEN_S)
call('HSET', who_key, me, table.concat({string.format('%.0f', now), string.format('%.0f', wanted_at),
  ARGV[4], ARGV[5], word, text}, ' '))
call('EXPIRE', who_key, FORGOTTEN_S)
return text
