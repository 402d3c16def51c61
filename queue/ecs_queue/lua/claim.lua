-- ARGV: 5 owner, 6 claim id (12 digits), 7 how many, then shares that have enough: their jobs are passed by.
-- Answers nil without a lease, nothing while the queue is suspended, else the documents, the epoch, the
-- ids, their scores, and of each job whose document has no digits before it (see bare) launches,
-- runnable ms and how many are claimed together as its gang (see together). All but the documents are
-- words of one text each: hundreds of values in a reply would take as long as reading the jobs.
-- A gang is taken whole, so that there may be more than were asked for.
--
-- claims holds, per owner, the epoch of the last claim and then the latest claim ids, newest first, a
-- line each: the newest one repeated answers as before; an older one is a straggler that nobody reads.
-- Some 66 of them: all go to the append-only file with each claim.
local REMEMBERED_BYTES, PROMOTED, PARKED_AT_ONCE = 870, 500, 2000
local owner, claim_id, count = ARGV[5], ARGV[6], ARGV[7]
if not has_lease(owner) then
  return false
end

-- Asked at once, since mostly there is none of it.
local special = call('EXISTS', PAUSED, UNTOLD, ARRAYS, GATHERED, PARKED, DELAYED) > 0
if special and call('EXISTS', PAUSED) == 1 then
  return {}
end

-- In turn; false where the key is gone.
local function documents_of(ids)
  local keys, prefix = {}, doc_key('')
  for i = 1, #ids do
    keys[i] = prefix .. ids[i]
  end
  local documents = #keys > 0 and call('MGET', unpack(keys, 1, math.min(1000, #keys))) or {}
  for first = 1001, #keys, 1000 do
    local some = call('MGET', unpack(keys, first, math.min(first + 999, #ids)))
    for i = 1, #some do
      documents[first + i - 1] = some[i]
    end
  end
  return documents
end

-- Evicted, or deleted by hand: nothing says any more what was to run, and its id is free again.
local function bury(id)
  local reason = 'its document is gone from Redis: evicted (maxmemory-policy?) or deleted; submit it again'
  if call('HEXISTS', job_key(id), 'P') == 1 then
    end_job(id, 'RUNNABLE', 'FAILED', reason)  -- its array has to know
    return
  end
  call('UNLINK', job_key(id), payload_key(id), result_key(id))
  keep_dead('{"id":"' .. id .. '"}', reason, '0-0')
end

-- `scores` and `documents` are those of the ids, in turn; the documents become the answer.
local function describe(ids, scores, epoch, documents)
  local others = {}
  for i = 1, #ids do
    documents[i] = documents[i] or ''
    if not is_as_submitted(documents[i]) then
      local job = call('HMGET', job_key(ids[i]), 'n', 't', 'r', 'G')
      others[#others + 1] = job[1] or '0'
      others[#others + 1] = job[3] or job[2] or '0'
      others[#others + 1] = job[4] and together(job[4]) or '0'
    end
  end
  local places = table.concat(scores, ' ')
  if string.find(places, 'e', 1, true) then  -- 1e+15, as Redis writes what ends in many zeros
    places = string.gsub(places, '%S+', function(score) return int(tonumber(score)) end)
  end
  for _, value in ipairs({epoch, table.concat(ids, ' '), places, table.concat(others, ' ')}) do
    documents[#documents + 1] = value
  end
  return documents
end

-- Ids and scores in the order of the queue, in which a gang stands where its foremost member does.
local function still_held(epoch)
  local ids, scores, foremost, in_turn = {}, {}, {}, {}
  local claimed = call('HGETALL', claimed_key(owner))
  for i = 1, #claimed, 2 do
    if claimed[i + 1] == epoch then
      ids[#ids + 1] = claimed[i]
      local job = call('HMGET', job_key(claimed[i]), 'o', 'J', 'G')
      local score = tonumber(job[1] or score_of(claimed[i]))
      scores[claimed[i]] = {job[3] and bound(job[3]) and job[3] or claimed[i], score, tonumber(job[2] or '0')}
      foremost[scores[claimed[i]][1]] = math.min(score, foremost[scores[claimed[i]][1]] or score)
    end
  end
  table.sort(ids, function(a, b)
    local one, other = scores[a], scores[b]
    local first, second = foremost[one[1]], foremost[other[1]]
    if first ~= second then
      return first < second
    end
    return one[2] < other[2] or one[2] == other[2] and one[3] < other[3]
  end)
  for i, id in ipairs(ids) do
    in_turn[i] = int(scores[id][2])
  end
  return ids, in_turn
end

local remembered = call('HGET', CLAIMS, owner) or '0\n'
local last_epoch, claimed_before = string.match(remembered, '^(%d+)(\n.*)$')
local at = string.find(claimed_before, '\n' .. claim_id .. '\n', 1, true)
if at then
  if at > 1 then
    return {}
  end
  local ids, scores = still_held(last_epoch)
  return describe(ids, scores, last_epoch, documents_of(ids))
end

if special and call('EXISTS', UNTOLD) == 1 then
  tell_dependents()
end
local due = special and call('ZRANGEBYSCORE', DELAYED, '-inf', NOW_TEXT, 'LIMIT', 0, PROMOTED) or {}
for _, id in ipairs(due) do
  call('ZREM', DELAYED, id)
  call('ZADD', READY, score_of(id), id)
end

local ids, scores, epoch = {}, {}, int(call('INCR', EPOCH))
local most = tonumber(count)
local arrays = special and call('SCARD', ARRAYS) > 0
local gangs = special and call('ZCARD', GATHERED) > 0
local enough, parked, plain = {}, 0, not (arrays or gangs or ARGV[8])
for i = 8, #ARGV do
  enough[ARGV[i]] = true
end

-- What was parked comes back in good time, once its share has not enough any more.
for _, share in ipairs(special and call('SMEMBERS', PARKED) or {}) do
  if not enough[share] then
    local heads = call('ZPOPMIN', parked_key(share), most)
    for i = 1, #heads, 2 do
      call('ZADD', READY, heads[i + 1], heads[i])
    end
    if #heads == 0 then
      call('SREM', PARKED, share)
    end
  end
end

-- Whether a job was passed by, for the sake of other shares.
local function pass_by(id, score)
  if #ARGV < 8 then
    return false
  end
  local share = call('HGET', job_key(id), 'T') or 'default'
  if not enough[share] then
    return false
  end
  call('SADD', PARKED, share)
  call('ZADD', parked_key(share), score, id)
  parked = parked + 1
  return true
end

local function take_one(id, score)
  ids[#ids + 1] = id
  scores[#scores + 1] = score
end

local function take(popped)
  for i = 1, #popped, 2 do
    if plain then
      ids[(i + 1) / 2], scores[(i + 1) / 2] = popped[i], popped[i + 1]
    elseif #ids >= most then
      call('ZADD', READY, popped[i + 1], popped[i])  -- children took its place
    elseif pass_by(popped[i], popped[i + 1]) then
      -- it waits until its share has less
    elseif arrays and call('SISMEMBER', ARRAYS, popped[i]) == 1 then
      for _, child in ipairs(hand_out(popped[i], most - #ids)) do
        take_one(child, call('HGET', job_key(child), 'o'))
      end
    else
      for _, id in ipairs(gangs and muster(popped[i]) or {popped[i]}) do
        take_one(id, id == popped[i] and popped[i + 1] or call('HGET', job_key(id), 'o'))
      end
    end
  end
end

repeat
  local before = parked
  take(call('ZPOPMIN', READY, most - #ids))
until parked == before or #ids >= most or parked >= PARKED_AT_ONCE
local documents = documents_of(ids)
for i = #ids, 1, -1 do
  if not documents[i] then
    bury(table.remove(ids, i))
    table.remove(scores, i)
    table.remove(documents, i)
  end
end
if #ids > 0 then
  call('HSET', lately_key(owner), epoch, table.concat(ids, ' '))
end
remembered = epoch .. '\n' .. claim_id .. claimed_before
if #remembered > REMEMBERED_BYTES then
  remembered = string.match(string.sub(remembered, 1, REMEMBERED_BYTES), '^.*\n')
end
call('HSET', CLAIMS, owner, remembered)
return describe(ids, scores, epoch, documents)
