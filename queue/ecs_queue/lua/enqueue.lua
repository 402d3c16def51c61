-- Takes documents in, from a producer directly, from the inbox, or from a submitted graph.
--
-- ARGV: 5 token of this call, then six per document: inbox entry ('' = none), J | X,
--   J: id, document (see split), base score, fields     X: reason, document ('' = as it came), '', ''
-- or, instead of these, one G: take in the next part of the oldest submitted graph.
-- Fields are words in pairs, name and value, as the prelude lists them; G is the gang (see join), r is
-- the earliest start, and
-- > the dependencies, k | a | n before each id, with commas in between.
-- Answers one letter each: A accepted, D duplicate, C conflict, X dead letter, Y depends on itself,
-- U follows an array of another size, - taken by another call; then a line for each Y, with the ids on
-- the way, and for each U: that array, its size (0 for a plain job), the size wanted.
local GRAPH_PART = 500
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
  keep_dead(document, reason, entry)
  call('XDEL', INBOX, entry)
  return 'X'
end

local given, first_given, graph = ARGV, 6, nil
if ARGV[6] == 'G' then
  graph = call('LINDEX', GRAPHS, 0)
  given, first_given = {}, 1
  if graph then
    given = call('LRANGE', graph_key(graph), 0, GRAPH_PART * STAGED - 1)
  end
end

-- Keeps what can't be taken in as a dead letter, unless its producer waits for the answer.
local ways = {}  -- the lines behind the answers
local function refuse(letter, entry, id, written, reason, way)
  if graph then
    local document, payload = split(written)
    if payload then
      document = '{"payload":' .. payload .. string.gsub(
        ',' .. string.sub(document, 2), ',"payload_digest":"%x+"}$', '}')
    end
    local whole = '{"id":"' .. id .. '",' .. string.sub(document, 2)
    keep_dead(whole, reason, '0-0')
  elseif entry ~= '' and bury(entry, reason, '') ~= 'X' then
    return '-'
  end
  ways[#ways + 1] = way
  return letter
end

local function is_array(fields)
  return string.find(fields, '^N %d') ~= nil
end

local function submitted_ms(entry)
  local from_entry = tonumber(string.match(entry, '^(%d+)-'))
  return math.min(from_entry, NOW)
end

-- Documents and places are written in bulk at the end; `stored` knows the former until then.
local stored, documents, places = {}, {}, {}
local somebody_waits = false  -- for any job of this call
local MOST_SEARCHED, MOST_SEARCHED_AT_ONCE = 10000, 50000  -- for one job, and in one call: a third of a second
local searched_at_once = 0

-- The document of a PENDING job, or of the PENDING array of a child; nil for any other.
local function waiting_document(id)
  local state = call('HGET', job_key(id), 's')
  if not state and string.find(id, ':', 1, true) then
    id = child_of(id) or id
    state = call('HGET', job_key(id), 's')
  end
  return state == 'PENDING' and (stored[id] or call('GET', doc_key(id))) or nil
end

-- The way from a job, or an array of so many children, through PENDING jobs back to itself, as text;
-- nil where there is none.
local function cycle_through(id, on, size)
  local dependent, open = {}, {}
  for _, each in ipairs(on) do
    dependent[each] = id
    open[#open + 1] = each
  end
  local function is_it(other)
    local parent, digits = string.match(other, '^(.+):(%d+)$')
    return other == id or size and parent == id and tonumber(digits) < size
  end
  local until_then = math.min(searched_at_once + MOST_SEARCHED, MOST_SEARCHED_AT_ONCE)
  while #open > 0 and searched_at_once < until_then do
    local at = table.remove(open)
    searched_at_once = searched_at_once + 1
    local document = waiting_document(at)
    for _, each in ipairs(document and depends_on(document) or {}) do
      if is_it(each) then
        local way = at .. ' -> ' .. id
        while dependent[at] ~= id do
          at = dependent[at]
          way = at .. ' -> ' .. way
        end
        return id .. ' -> ' .. way
      elseif not dependent[each] then
        dependent[each] = at
        open[#open + 1] = each
      end
    end
  end
  return nil
end

-- Whether a job may wait for this new one already, or for a child of it, of which there are so many.
local function is_waited_for(id, size)
  if somebody_waits and call('EXISTS', after_key(id)) == 1 or size > LOOKED_UP then
    return true
  end
  local keys = keys_of_children(id, size, after_key)
  return #keys > 0 and call('EXISTS', unpack(keys)) > 0
end

-- The way round that a new job would close, nil for none.
local function closed_by(id, fields)
  local size, leader = string.match(fields, '^N (%d+)'), string.match(fields, '^N %d+ M (%S+)')
  local waits = leader or string.find(fields, '> ', 1, true)
  if not waits or not is_waited_for(id, tonumber(size or '0')) then
    return nil
  end
  local on = {leader}
  for _, each in string.gmatch(string.match(fields, '> (%S+)') or '', '(%a)([^,]+)') do
    on[#on + 1] = each
  end
  return #on > 0 and cycle_through(id, on, tonumber(size)) or nil
end

-- The open dependencies, id and kind in turn; where one can't be satisfied any more, the state that
-- the job ends in, and why.
local function judge_dependencies(dependencies)
  local open = {}
  for kind, on in string.gmatch(dependencies, '(%a)([^,]+)') do
    local state, reason = come_to(on)
    if OVER[state] and not (state == 'NEVER' and stored[on]) then
      local to, why = consequence(kind, on, state, reason)
      if to then
        return open, to, why
      end
    else
      open[#open + 1] = on
      open[#open + 1] = kind
    end
  end
  return open
end

-- An array of this size has come: those who wait for children that it will never have hear of it.
local function tell_in_vain(parent, size)
  local beyond = {}
  for _, on in ipairs(call('ZRANGEBYSCORE', awaited_key(parent), size, '+inf')) do
    beyond[#beyond + 1] = not stored[on] and on or nil
  end
  call('ZREMRANGEBYSCORE', awaited_key(parent), size, '+inf')
  in_bulk('RPUSH', UNTOLD, beyond)
  if #beyond > 0 then
    tell_dependents()
  end
end

-- Enters the job as waiting for what has not ended.
local function wait_for(id, open)
  for i = 1, #open, 2 do
    call('HSET', after_key(open[i]), id, open[i + 1])
    if string.find(open[i], ':', 1, true) then
      await(open[i])
    end
  end
  somebody_waits = true
  call('HSET', job_key(id), 's', 'PENDING', 'k', int(#open / 2))
  call('ZADD', IN.PENDING, NOW_TEXT, id)
  report(id, 'PENDING', '')
end

-- The job's hash; answers when it is due.
local function write_job(key, score, submitted, fields)
  local values = {'s', 'RUNNABLE', 'o', score, 't', int(submitted)}
  local due, watched, share = 0, false, 'default'
  for name, value in string.gmatch(fields, '(%S+) (%S+)') do
    if name == 'r' then
      due = tonumber(value)
    elseif name ~= '>' and name ~= 'G' then
      values[#values + 1] = name
      values[#values + 1] = value
      if name == 'T' then
        call('SADD', SHARES, value)
        share = value
      end
      watched = watched or name == 'd' or name == 'b'
    end
  end
  local runnable = math.max(NOW, due)
  if runnable ~= submitted then
    values[#values + 1] = 'r'
    values[#values + 1] = int(runnable)
  end
  call('HSET', key, unpack(values))
  return due, watched, share
end

local function accept(entry, id, document, payload, score, fields)
  if fields == '' and not payload and entry == '' then  -- most jobs: nothing of them is special
    stored[id] = document
    documents[#documents + 1] = doc_key(id)
    documents[#documents + 1] = NOW_TEXT .. ' ' .. score .. document
    places[#places + 1] = score
    places[#places + 1] = id
    report(id, 'RUNNABLE', '')
    return
  end
  local submitted = entry == '' and NOW or submitted_ms(entry)
  local dependencies = string.match(fields, '> (%S+)')
  local open, to, why = {}, nil, nil
  if dependencies then
    open, to, why = judge_dependencies(dependencies)
  end
  local size, leader = string.match(fields, '^N (%d+) M (%S+)')
  if leader and call('HGET', job_key(leader), 'N') ~= size then
    to, why = 'FAILED', 'N_TO_N: ' .. leader .. ' is no array of ' .. size .. ' in the queue'
  end
  stored[id] = document
  if payload then
    call('SET', payload_key(id), payload)
  end
  local due, watched, share = write_job(job_key(id), score, submitted, fields)
  local gang = string.match(fields, '^G (%S+)')
  if is_array(fields) then
    call('SADD', ARRAYS, id)
  end
  if dependencies or leader or gang then
    call('SET', doc_key(id), document)  -- at once, since its end may come within this call
  else
    documents[#documents + 1] = doc_key(id)
    documents[#documents + 1] = (is_array(fields) and '' or int(math.max(NOW, due))) .. document
  end
  if gang then
    local refused, reason = join(id, gang, share)
    to, why = refused or to, refused and reason or why
  end
  if to then
    end_job(id, 'PENDING', to, why)
    return
  elseif #open > 0 or leader then
    wait_for(id, open)
    if #open == 0 then
      call('HDEL', job_key(id), 'k')
    end
    if leader then
      begin_to_follow(id, leader)
    end
    return
  elseif gang then
    to_queue(id, score, math.max(0, due - NOW))
  elseif due > NOW then
    call('ZADD', DELAYED, int(due), id)
  else
    places[#places + 1] = score
    places[#places + 1] = id
  end
  if watched then
    watch(id)
  end
  report(id, 'RUNNABLE', '')
end

-- What a reason says of a way round: of a long one both ends.
local function both_ends(way)
  if #way <= 1000 then
    return way
  end
  local first, last = string.match(string.sub(way, 1, 500), '^.* %-> '), string.match(string.sub(way, -500), ' %-> .*$')
  return first .. '…' .. last
end

-- The array that a new one is to follow child by child, its size and the one wanted, if these differ
-- and the queue has it by now; a plain job there has no size.
local function unequal(fields)
  local wants, leader = string.match(fields, '^N (%d+) M (%S+)')
  local has = leader and call('HGET', job_key(leader), 'N') or nil
  if leader and has ~= wants and (has or stored[leader] or look_at(leader)) then
    return leader, has, wants
  end
  return nil
end

local function take(entry, id, written, score, fields)
  local before, document, payload = stored[id], split(written)
  if string.find(id, ':', 1, true) and child_of(id) then
    local reason = 'id: "' .. id .. '" names a child of an array; choose another id'
    return refuse('C', entry, id, written, reason)
  end
  if before and before ~= document then
    local reason = 'id: another document was submitted as "' .. id .. '" before; choose another id'
    return refuse('C', entry, id, written, reason)
  end
  local new = not before and fields ~= ''
  local child = new and is_array(fields) and taken_child(id, fields, stored)
  if child then
    local reason = 'id: "' .. child .. '", which would be a child of "' .. id .. '", is a job; choose another id'
    return refuse('C', entry, id, written, reason)
  end
  local way = new and closed_by(id, fields)
  if way then
    return refuse('Y', entry, id, written, 'depends_on: the job would wait for itself: ' .. both_ends(way), way)
  end
  local leader, has, wants = unequal(new and not graph and fields or '')
  if leader then
    local reason = 'depends_on: N_TO_N: ' .. leader .. ' has ' .. (has or 'no') .. ' children, not ' .. wants
    return refuse('U', entry, id, written, reason, leader .. ' ' .. (has or 0) .. ' ' .. wants)
  end
  if entry ~= '' and call('XDEL', INBOX, entry) == 0 then
    return '-'
  end
  if before then
    return 'D'
  end
  accept(entry, id, document, payload, score, fields)
  if is_array(fields) then  -- only now: it may itself wait for one of them
    tell_in_vain(id, string.match(fields, '^N (%d+)'))
  end
  return 'A'
end

-- What is stored under the ids of this call, read a thousand at a time.
local function look_up()
  local ids, keys, after = {}, {}, {}
  for i = first_given, #given, STAGED do
    if given[i + 1] == 'J' then
      ids[#ids + 1] = given[i + 2]
      keys[#keys + 1] = doc_key(given[i + 2])
      after[#after + 1] = after_key(given[i + 2])
    end
  end
  for first = 1, #ids, 1000 do
    local last = math.min(first + 999, #ids)
    local found = call('MGET', unpack(keys, first, last))
    somebody_waits = somebody_waits or call('EXISTS', unpack(after, first, last)) > 0
    for i, document in ipairs(found) do
      stored[ids[first + i - 1]] = document and bare(document)
    end
  end
end

look_up()
local size = (#given - first_given + 1) / STAGED
for i = first_given, #given, STAGED do
  size = size + (is_array(given[i + 5]) and 1 or 0)
end
local sequence = call('INCRBY', SEQ, size) - size
local answers = {}
for i = first_given, #given, STAGED do
  local entry = given[i]
  if given[i + 1] == 'X' then
    answers[#answers + 1] = bury(entry, given[i + 2], given[i + 3])
  else
    sequence = sequence + (is_array(given[i + 5]) and 2 or 1)  -- one before it for its children
    local score = int(tonumber(given[i + 4]) + sequence)
    answers[#answers + 1] = take(entry, given[i + 2], given[i + 3], score, given[i + 5])
  end
end
for first = 1, #documents, 1000 do
  call('MSET', unpack(documents, first, math.min(first + 999, #documents)))
end
in_bulk('ZADD', READY, places)
if graph then
  call('LTRIM', graph_key(graph), #given, -1)
  if call('EXISTS', graph_key(graph)) == 0 then
    call('LREM', GRAPHS, 0, graph)
  end
end
answered = table.concat({table.concat(answers), unpack(ways)}, '\n')
call('SET', answer_key, answered, 'EX', 60)
return answered
