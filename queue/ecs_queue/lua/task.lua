-- What a task asks of its job, or tells it. ARGV: 5 task ARN, 6 token of its launch ('' = not looked at),
--   7 look | progress | result, 8 the text of the progress or the JSON of the result.
-- Answers a word and more: OK, job id, failed attempts before, index in its array ('' = none), payload
-- (only to a look, '' = none) | LATER the launch is not settled yet | ENDED, state | STRANGER another
-- launch's | UNKNOWN.
local task, token, act, told = ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local id = call('HGET', LIVE, task)
if not id then
  local state = ended_as(task)
  if state then
    return {'ENDED', state}
  elseif token == '' or call('EXISTS', PREFIX .. 'launch:' .. token) == 1 then
    return {'LATER'}
  end
  return {'UNKNOWN'}
end
local key = job_key(id)
local job = call('HMGET', key, 'a', 'l', 'f', 'P', 'J')
if job[1] ~= task or token ~= '' and token ~= job[2] then
  return {'STRANGER'}
end
local payload = ''
if act == 'look' then
  payload = call('GET', payload_key(job[4] or id)) or ''
elseif act == 'progress' then
  call('HSET', key, 'p', NOW_TEXT .. ' ' .. told)
elseif act == 'result' then
  call('SET', result_key(id), told)
end
return {'OK', id, job[3] or '0', job[5] or '', payload}
