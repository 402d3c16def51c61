-- ARGV: 5 owner, 6 token, 7 API, then three a job: id, epoch, instance ARN ('' = ECS chooses).
-- Answers the ids that are to be launched under this token; none whose deadline has passed, and none
-- at all from another server process than the one that gave the owner its lead: what that forgot may
-- have been launched, and the owner learns of it only when it next bids for the lead.
local led_by = call('HGET', SERVERS, ARGV[5])
if led_by and led_by ~= (this_server() or led_by) then
  return {}
end
local owner, token, api = ARGV[5], ARGV[6], ARGV[7]
local launch_key = PREFIX .. 'launch:' .. token
local ids, starting, entry = {}, {}, {'api', api, 'at', NOW_TEXT}
for i = 8, #ARGV, 3 do
  local id, epoch, instance = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local key = job_key(id)
  unfold(id)
  local job = call('HMGET', key, 'd', 'G', 'w', 'b')
  local deadline = tonumber(job[1] or nil)
  if held(id, owner, epoch) and not (deadline and deadline <= NOW) then
    starting[#starting + 1] = {
      id = id, key = key, instance = instance, gang = job[2], reason = job[3], due = job[1] or job[4],
    }
    entry[#entry + 1], entry[#entry + 2] = 'job:' .. id, instance
    ids[#ids + 1] = id
  elseif call('HEXISTS', launch_key, 'job:' .. id) == 1 then
    ids[#ids + 1] = id
  end
end
if #starting > 0 then
  call('HSET', launch_key, unpack(entry))
  call('ZADD', INTENTS, NOW_TEXT, token)
end
for _, job in ipairs(starting) do
  if job.gang then
    begin_start(job.gang)
  end
  call('HDEL', claimed_key(owner), job.id)
  if job.due then
    call('ZREM', DUE, job.id)
  end
  if job.reason then
    call('HDEL', job.key, 'w')
  end
  if job.instance ~= '' then
    call('HSET', job.key, 's', 'STARTING', 'l', token, 'g', NOW_TEXT, 'z', job.instance)
  else
    call('HSET', job.key, 's', 'STARTING', 'l', token, 'g', NOW_TEXT)
  end
  call('ZADD', IN.STARTING, NOW_TEXT, job.id)
  report(job.id, 'STARTING', '')
end
return ids
