-- What a scheduler holds: its lease, and the jobs that it claimed. Shared by every script, behind the prelude.

-- What an owner holds but for what it claimed lately, to be looked at only: a hash of job id to epoch.
local function earlier_key(owner)
  return PREFIX .. 'claimed:' .. owner
end

-- What was claimed lately and not asked for since: a hash of epoch to ids, a text a claim. To write a
-- hundred ids one by one, and to the append-only file, takes as long as to read their documents.
local function lately_key(owner)
  return PREFIX .. 'claimed_lately:' .. owner
end

-- All that an owner holds, as one hash, for scripts that write.
local asked_for = {}
local function claimed_key(owner)
  local key, values = earlier_key(owner), {}
  local claims = asked_for[owner] and {} or call('HGETALL', lately_key(owner))
  asked_for[owner] = true
  for i = 1, #claims, 2 do
    for id in string.gmatch(claims[i + 1], '%S+') do
      values[#values + 1] = id
      values[#values + 1] = claims[i]
    end
  end
  if #values > 0 then
    in_bulk('HSET', key, values)
    call('DEL', lately_key(owner))
  end
  return key
end

-- The ids that an owner holds, for scripts that only look: a server that is full or a replica answers too.
local function claimed_by(owner)
  local ids, lately = call('HKEYS', earlier_key(owner)), call('HVALS', lately_key(owner))
  for _, claim in ipairs(lately) do
    for id in string.gmatch(claim, '%S+') do
      ids[#ids + 1] = id
    end
  end
  return ids
end

local function has_lease(owner)
  local expiry = call('ZSCORE', OWNERS, owner)
  return expiry and tonumber(expiry) > NOW
end

-- Whether `owner` holds the job under this epoch; a stale claim holds nothing.
local function held(id, owner, epoch)
  return call('HGET', claimed_key(owner), id) == epoch
end

-- What the owner claimed goes back to ready under its old score.
local function give_up_claims(owner)
  local ids = call('HKEYS', claimed_key(owner))
  local places, gangs = {}, {}
  for _, id in ipairs(ids) do
    local job = call('HMGET', job_key(id), 'o', 'G')
    if job[2] and bound(job[2]) then
      gangs[job[2]] = true
    else
      places[#places + 1] = job[1] or score_of(id)
      places[#places + 1] = id
    end
  end
  for gang in pairs(gangs) do
    regather(gang)
  end
  in_bulk('ZADD', READY, places)
  call('DEL', claimed_key(owner))
  return #ids
end

-- Ends the owner's lease, and its claims with it.
local function give_back(owner)
  local moved = give_up_claims(owner)
  call('HDEL', CLAIMS, owner)
  call('HDEL', SERVERS, owner)
  call('ZREM', OWNERS, owner)
  return moved
end
