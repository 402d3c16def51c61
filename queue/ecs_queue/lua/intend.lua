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
local ids = {}
for i = 8, #ARGV, 3 do
  local id, epoch, instance = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local key = job_key(id)
  unfold(id)
  local job = call('HMGET', key, 'd', 'G')
  local deadline = tonumber(job[1] or nil)
  if held(id, owner, epoch) and not (deadline and deadline <= NOW) then
    if job[2] then
      begin_start(job[2])
    end
    call('HDEL', claimed_key(owner), id)
    call('ZREM', DUE, id)
    call('HDEL', key, 'w')
    call('HSET', key, 's', 'STARTING', 'l', token, 'g', NOW_TEXT)
    if instance ~= '' then
      call('HSET', key, 'z', instance)
    end
    call('ZADD', IN.STARTING, NOW_TEXT, id)
    call('HSET', launch_key, 'api', api, 'at', NOW_TEXT, 'job:' .. id, instance)
    call('ZADD', INTENTS, NOW_TEXT, token)
    report(id, 'STARTING', '')
    ids[#ids + 1] = id
  elseif call('HEXISTS', launch_key, 'job:' .. id) == 1 then
    ids[#ids + 1] = id
  end
end
return ids
