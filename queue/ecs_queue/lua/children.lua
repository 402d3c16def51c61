-- ARGV: 5 array, 6 a state or '', 7 the index to begin with, 8 how many at most. Looks at LOOKED_AT
-- children at most; answers the index to go on at (-1 at the end), then index, state, exit code,
-- reason and launches ('' = no longer known) of each that is wanted; nil for no such array.
local LOOKED_AT = 8192
local parent, wanted, first, most = ARGV[5], ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])
local size = tonumber(call('HGET', job_key(parent), 'N') or '0')
if size == 0 then
  return false
end
local last = math.min(size, first + LOOKED_AT) - 1
local first_byte = math.floor(first / 8)
local waiting = call('HGET', job_key(parent), 's') == 'PENDING' and 'PENDING' or 'RUNNABLE'
local alive, ended = {}, {}
for _, index in ipairs(call('SMEMBERS', alive_key(parent))) do
  alive[tonumber(index)] = true
end
for state in pairs(COUNTER) do
  ended[state] = call('GETRANGE', bits_key(parent, state), first_byte, math.floor(last / 8))
end

local function state_at(index)
  if alive[index] then
    return call('HGET', job_key(parent .. ':' .. int(index)), 's')
  end
  for state, bytes in pairs(ended) do
    local byte = string.byte(bytes, math.floor(index / 8) - first_byte + 1) or 0
    if math.floor(byte / 2 ^ (7 - index % 8)) % 2 == 1 then
      return state
    end
  end
  return waiting
end

-- Exit code, reason, launches.
local function told_of(index, state)
  local child = {}
  if alive[index] then
    local job = call('HMGET', job_key(parent .. ':' .. int(index)), 'x', 'w', 'n')
    return job[1] or '', job[2] or '', job[3] or '0'
  elseif not ended[state] then
    return '', '', '0'
  end
  local fields = past_fields(parent, index)
  if #fields == 0 then
    local exit_code, reason = string.match(select(2, child_state(parent, index)), '^(%-?%d*)\t(.*)$')
    return exit_code, reason, is_forgotten(parent, index, state) == '1' and '' or '0'
  end
  for i = 1, #fields, 2 do
    child[fields[i]] = fields[i + 1]
  end
  return child.x or '', child.w or '', child.n
end

local answer = {-1}
for index = first, last do
  local state = state_at(index)
  if wanted == '' or state == wanted then
    if #answer > most * 5 then
      answer[1] = index
      return answer
    end
    for _, value in ipairs({index, state, told_of(index, state)}) do
      answer[#answer + 1] = value
    end
  end
end
if last < size - 1 then
  answer[1] = last + 1
end
return answer
