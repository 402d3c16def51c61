-- Lays a part of a graph down, unseen by anybody until `commit`; it vanishes after an hour.
--
-- ARGV: 5 token of the graph, 6 how many documents lie there already, then documents as in `enqueue`.
-- Answers one letter each: A new, W new and the queue may wait for it (or a child, of an array), D the
-- queue has this very job, C it has another under this id or that of a child, or an array with such a child.
local STAGED_S = 3600
local key = graph_key(ARGV[5])
local values, answers = {}, {}
for i = 7, #ARGV do
  values[#values + 1] = ARGV[i]
end

local function new(id, fields)
  if string.find(id, ':', 1, true) and child_of(id) or taken_child(id, fields, {}) then
    return 'C'
  end
  local waited_for = string.find(fields, '^N %d') or call('EXISTS', after_key(id)) == 1
  return waited_for and 'W' or 'A'
end

for i = 1, #values, STAGED do
  local known = document_of(values[i + 2])
  answers[#answers + 1] = not known and new(values[i + 2], values[i + 5]) or known == (split(values[i + 3])) and 'D' or 'C'
end
if call('LLEN', key) == tonumber(ARGV[6]) * STAGED then
  in_bulk('RPUSH', key, values)
  call('EXPIRE', key, STAGED_S)
end
return table.concat(answers)
