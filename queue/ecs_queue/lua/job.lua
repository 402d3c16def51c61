-- ARGV: 5 id. Answers id, document, fields (with `result`, where it reported one) and whether an owner
-- holds it; nil for no such job.
local id = ARGV[5]

local function with_result(fields)
  local result = call('GET', result_key(id))
  if result then
    fields[#fields + 1] = 'result'
    fields[#fields + 1] = result
  end
  return fields
end

local document = call('GET', doc_key(id))
if not document then
  local parent, index = child_of(id)
  document = parent and child_document(parent, index)
  if not document then
    return false
  end
  local state, why = child_state(parent, index)
  local exit_code, reason = string.match(why, '^(%-?%d*)\t(.*)$')
  local job = call('HMGET', job_key(parent), 'o', 't')
  local fields = {'s', state, 'o', job[1], 't', job[2]}
  for name, value in pairs({w = reason, x = exit_code}) do
    if value ~= '' then
      fields[#fields + 1] = name
      fields[#fields + 1] = value
    end
  end
  return {id, document, with_result(fields), 0}
end
local holders = 0
for _, owner in ipairs(call('ZRANGE', OWNERS, 0, -1)) do
  holders = holders + call('HEXISTS', claimed_key(owner), id)
end
return {id, document, with_result(fields_of(id, document)), holders}
