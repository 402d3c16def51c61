-- ARGV: 5 id. Answers id, document, fields and whether an owner holds it; nil for no such job.
local id = ARGV[5]
local document = call('GET', doc_key(id))
if not document then
  return false
end
local holders = 0
for _, owner in ipairs(call('ZRANGE', OWNERS, 0, -1)) do
  holders = holders + call('HEXISTS', claimed_key(owner), id)
end
return {id, document, fields_of(id, document), holders}
