-- ARGV: 5 id. Answers id, document, fields (with `result`, where it reported one, and `forgotten`, where
-- a child was launched and nothing is kept of that) and whether an owner holds it; nil for no such job.
local id = ARGV[5]

local function with_result(fields, result)
  if result then
    fields[#fields + 1] = 'result'
    fields[#fields + 1] = result
  end
  return fields
end

local document = document_of(id)
if not document then
  local parent, index = child_of(id)
  document = parent and child_document(parent, index)
  if not document then
    return false
  end
  local state, why = child_state(parent, index)
  local job = call('HMGET', job_key(parent), 'o', 't')
  local fields = past_fields(parent, index)
  if #fields == 0 then
    local exit_code, reason = string.match(why, '^(%-?%d*)\t(.*)$')
    for name, value in pairs({w = reason, x = exit_code, forgotten = is_forgotten(parent, index, state)}) do
      if value ~= '' then
        fields[#fields + 1] = name
        fields[#fields + 1] = value
      end
    end
  end
  for name, value in pairs({s = state, o = job[1], t = job[2]}) do
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
  return {id, document, with_result(fields, call('HGET', results_key(parent), int(index))), 0}
end
local holders = 0
for _, owner in ipairs(call('ZRANGE', OWNERS, 0, -1)) do
  holders = holders + call('HEXISTS', earlier_key(owner), id)
  for _, claim in ipairs(call('HVALS', lately_key(owner))) do
    holders = holders + (string.find(' ' .. claim .. ' ', ' ' .. id .. ' ', 1, true) and 1 or 0)
  end
end
return {id, document, with_result(fields_of(id, document), call('GET', result_key(id))), holders}
