-- Takes documents in, from a producer directly or from the inbox.
--
-- ARGV: 5 token of this call, then six per document: inbox entry ('' = none), J | X,
--   J: id, canonical document, base score, attempts     X: reason, document ('' = as it came), '', ''
-- Answers one letter each: A accepted, D duplicate, C conflict, X dead letter, - taken by another call.
local answer_key = PREFIX .. 'answer:' .. ARGV[5]
local answered = call('GET', answer_key)
if answered then
  return answered
end

local function bury(entry, reason, document)
  local found = call('XRANGE', INBOX, entry, entry)
  if #found == 0 then
    return '-'
  end
  local fields = found[1][2]
  for i = 1, #fields, 2 do
    if document == '' and fields[i] == 'job' then
      document = fields[i + 1]
    end
  end
  call('XADD', DEAD, '*', 'document', document, 'reason', reason, 'entry', entry, 'at', NOW_TEXT)
  call('XDEL', INBOX, entry)
  return 'X'
end

local function submitted_ms(entry)
  local from_entry = tonumber(string.match(entry, '^(%d+)-'))
  return math.min(from_entry, NOW)
end

-- Documents and places are written in bulk at the end; `stored` knows the former until then.
local stored, documents, places = {}, {}, {}

local function accept(entry, id, document, score, attempts)
  local submitted = entry == '' and NOW or submitted_ms(entry)
  stored[id] = document
  documents[#documents + 1] = doc_key(id)
  documents[#documents + 1] = document
  places[#places + 1] = score
  places[#places + 1] = id
  call('HSET', job_key(id), 's', 'RUNNABLE', 'o', score, 't', int(submitted))
  if submitted ~= NOW then
    call('HSET', job_key(id), 'r', NOW_TEXT)
  end
  if attempts ~= '1' then
    call('HSET', job_key(id), 'm', attempts)
  end
  report(id, 'RUNNABLE', '')
  return 'A'
end

local function take(entry, id, document, score, attempts)
  local before = stored[id]
  if before and before ~= document then
    if entry == '' then
      return 'C'
    end
    local reason = 'id: another document was submitted as "' .. id .. '" before; choose another id'
    return bury(entry, reason, '') == 'X' and 'C' or '-'
  end
  if entry ~= '' and call('XDEL', INBOX, entry) == 0 then
    return '-'
  end
  return before and 'D' or accept(entry, id, document, score, attempts)
end

-- What is stored under the ids of this call, read a thousand at a time.
local function look_up()
  local ids, keys = {}, {}
  for i = 6, #ARGV, 6 do
    if ARGV[i + 1] == 'J' then
      ids[#ids + 1] = ARGV[i + 2]
      keys[#keys + 1] = doc_key(ARGV[i + 2])
    end
  end
  for first = 1, #ids, 1000 do
    local found = call('MGET', unpack(keys, first, math.min(first + 999, #ids)))
    for i, document in ipairs(found) do
      stored[ids[first + i - 1]] = document
    end
  end
end

look_up()
local size = (#ARGV - 5) / 6
local sequence = call('INCRBY', SEQ, size) - size
local answers = {}
for i = 6, #ARGV, 6 do
  local entry = ARGV[i]
  if ARGV[i + 1] == 'X' then
    answers[#answers + 1] = bury(entry, ARGV[i + 2], ARGV[i + 3])
  else
    sequence = sequence + 1
    local score = int(tonumber(ARGV[i + 4]) + sequence)
    answers[#answers + 1] = take(entry, ARGV[i + 2], ARGV[i + 3], score, ARGV[i + 5])
  end
end
for first = 1, #documents, 1000 do
  call('MSET', unpack(documents, first, math.min(first + 999, #documents)))
end
in_bulk('ZADD', READY, places)
answered = table.concat(answers)
call('SET', answer_key, answered, 'EX', 60)
return answered
