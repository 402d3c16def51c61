-- ARGV: 5 id. Answers the payload of a job or a child, '' for none; nil for no such job.
local id = ARGV[5]
if call('EXISTS', doc_key(id)) == 0 then
  id = child_of(id)
elseif call('HEXISTS', job_key(id), 'P') == 1 then
  id = call('HGET', job_key(id), 'P')
end
return id and (call('GET', payload_key(id)) or '')
