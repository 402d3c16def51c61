-- ARGV: 5 id. Answers id, document and fields, or nil.
local document = call('GET', doc_key(ARGV[5]))
if not document then
  return false
end
return {ARGV[5], document, call('HGETALL', job_key(ARGV[5]))}
