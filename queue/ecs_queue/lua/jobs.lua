-- ARGV: 5 state ('' = all), 6 offset, 7 limit. Answers id, document, fields and whether
-- an owner holds it, for each job.
--
-- RUNNABLE in the order of the queue: claimed, ready, gathered, delayed, suspended; the others newest first.
local state, skip, room = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
local answer = {}

local function add(ids, holders)
  for _, id in ipairs(ids) do
    local document = document_of(id)
    if document then
      answer[#answer + 1] = id
      answer[#answer + 1] = document
      answer[#answer + 1] = fields_of(id, document)
      answer[#answer + 1] = holders
    end
  end
end

-- Takes what is still wanted of a section of `size` ids; read(first, last) counts from 0.
local function section(size, holders, read)
  if room > 0 and skip < size then
    local last = math.min(size, skip + room) - 1
    add(read(skip, last), holders)
    room = room - (last - skip + 1)
  end
  skip = math.max(0, skip - size)
end

local function zset(key, newest_first)
  section(call('ZCARD', key), 0, function(first, last)
    return call(newest_first and 'ZREVRANGE' or 'ZRANGE', key, first, last)
  end)
end

local function claimed()
  local ids, scores = {}, {}
  for _, owner in ipairs(call('ZRANGE', OWNERS, 0, -1)) do
    for _, id in ipairs(claimed_by(owner)) do
      ids[#ids + 1] = id
      scores[id] = tonumber(score_of(id))
    end
  end
  table.sort(ids, function(a, b) return scores[a] < scores[b] end)
  section(#ids, 1, function(first, last)
    local wanted = {}
    for i = first + 1, last + 1 do
      wanted[#wanted + 1] = ids[i]
    end
    return wanted
  end)
end

for _, each in ipairs({
  'RUNNING', 'STARTING', 'RUNNABLE', 'PENDING', 'FAILED', 'CANCELLED', 'SUCCEEDED',
}) do
  if state == '' or state == each then
    if each == 'RUNNABLE' then
      claimed()
      zset(READY, false)
      for _, share in ipairs(call('SMEMBERS', PARKED)) do
        zset(parked_key(share), false)
      end
      zset(GATHERED, false)
      zset(DELAYED, false)
      zset(SUSPENDED, false)
    else
      zset(IN[each], true)
    end
  end
end
return answer
