-- ARGV: 5 owner, 6 cluster, 7 lease in ms, 8 '1' to spread, 9 the cluster's ARN ('' = not known).
-- Answers the fencing number while the owner leads, or nil.
--
-- The books of a queue are kept for one cluster: another one shows none of their tasks, which would
-- count as lost and be launched again. So it gets no lead as long as there is a launch in the books, or
-- somebody who leads for the first one; answered is then the ARN of that and how many launches there are.
--
-- To spread means that all who want to lead are candidates for as long as a lease, and that the lead
-- belongs to the one among them whom rendezvous hashing picks: a leader makes room for him. When one
-- comes or goes, only what he wins or held moves.
--
-- One owner leads at a time. Taking over ends the claims of whoever led before, so that every script
-- that names them refuses; a new fencing number tells a leader that it was none for a while.
-- Another server process than at the last call (a restart, a fail-over) may have lost writes: then all
-- claims end, and `rewound` says since when, until the leader has compared the queue with ECS.
local owner, leader_key, lease_ms = ARGV[5], PREFIX .. 'leader:' .. ARGV[6], tonumber(ARGV[7])
local leader = call('HMGET', leader_key, 'owner', 'until', 'fence', 'server')
local alive = leader[1] and tonumber(leader[2]) > NOW and has_lease(leader[1])

local arn, bound = ARGV[9], call('GET', PREFIX .. 'cluster')
if arn ~= '' and bound and bound ~= arn then
  local theirs = PREFIX .. 'leader:' .. string.match(bound, '[^/]*$')
  local there = call('HMGET', theirs, 'owner', 'until')
  local launches = call('ZCARD', INTENTS) + call('HLEN', LIVE)
  if launches > 0 or there[1] and there[1] ~= owner and tonumber(there[2]) > NOW and has_lease(there[1]) then
    return {bound, launches}
  end
  if there[1] and there[1] ~= owner then
    give_back(there[1])
  end
end

local function weight(name)
  local hash = 7
  for i = 1, #name do
    hash = (hash + string.byte(name, i)) * 48271 % 2147483647
  end
  return hash
end

local candidates_key, best = PREFIX .. 'candidates:' .. ARGV[6], owner
if ARGV[8] == '1' then
  for _, other in ipairs(call('ZRANGEBYSCORE', candidates_key, '(' .. NOW_TEXT, '+inf')) do
    local ours, its = weight(best .. leader_key), weight(other .. leader_key)
    if its > ours or its == ours and other > best then
      best = other
    end
  end
  call('ZREMRANGEBYSCORE', candidates_key, '-inf', NOW_TEXT)
  call('ZADD', candidates_key, int(NOW + lease_ms), owner)
end
if best ~= owner and (not alive or leader[1] == owner) then
  if leader[1] == owner then
    call('HDEL', leader_key, 'owner', 'until')
    give_back(owner)
  end
  return false
end
if alive and leader[1] ~= owner then
  return false
end
local server = this_server() or leader[4]
local fence, restarted = leader[3], leader[4] and leader[4] ~= server
if restarted then
  call('SET', PREFIX .. 'rewound', NOW_TEXT)
end
if not alive or restarted then
  if leader[1] then
    give_back(leader[1])
  end
  give_back(owner)
  -- What the lost time gave out is not known here: a leader that was given the next number then would
  -- take this one for its own lead, go on, and compare nothing.
  local step = restarted and math.max(1, NOW - tonumber(fence or 0)) or 1
  fence = call('HINCRBY', leader_key, 'fence', int(step))
end
if arn ~= '' and bound ~= arn then
  call('SET', PREFIX .. 'cluster', arn)
end
local until_ms = int(NOW + lease_ms)
call('HSET', leader_key, 'owner', owner, 'until', until_ms)
if server then
  call('HSET', leader_key, 'server', server)
  call('HSET', SERVERS, owner, server)
end
call('ZADD', OWNERS, until_ms, owner)
return tonumber(fence)
