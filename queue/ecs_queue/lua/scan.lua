-- ARGV: 5 claimed | ready | parked | gathered | delayed | suspended | a state, 6 cursor, 7 about how many.
-- Answers the next cursor, and pairs: id, document.
local source, ids, cursor = ARGV[5], {}, '0'
if source == 'claimed' then
  for _, owner in ipairs(call('ZRANGE', OWNERS, 0, -1)) do
    for _, id in ipairs(claimed_by(owner)) do
      ids[#ids + 1] = id
    end
  end
elseif source == 'parked' then
  local shares = call('SMEMBERS', PARKED)
  table.sort(shares)
  local at, within = string.match(ARGV[6], '^(%d+):(%d+)$')
  at = tonumber(at or 1)
  if shares[at] then
    local page = call('ZSCAN', parked_key(shares[at]), within or 0, 'COUNT', ARGV[7])
    for i = 1, #page[2], 2 do
      ids[#ids + 1] = page[2][i]
    end
    at = page[1] == '0' and at + 1 or at
    cursor = shares[at] and at .. ':' .. page[1] or '0'
  end
else
  local sets = {ready = READY, gathered = GATHERED, delayed = DELAYED, suspended = SUSPENDED}
  local page = call('ZSCAN', sets[source] or IN[source], ARGV[6], 'COUNT', ARGV[7])
  cursor = page[1]
  for i = 1, #page[2], 2 do
    ids[#ids + 1] = page[2][i]
  end
end
local answer = {}
for _, id in ipairs(ids) do
  local document = document_of(id)
  if document then
    answer[#answer + 1] = id
    answer[#answer + 1] = document
  end
end
return {cursor, answer}
