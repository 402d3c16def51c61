-- Sends a dead letter, perhaps corrected, to the inbox once more.
--
-- ARGV: 5 entry id of the letter, 6 job id, 7 canonical document, 8 document for the inbox
--   (6 to 8 are empty where the letter was not found).
-- Answers a letter and the job's id: R replayed, D the queue has this very job, C it has another
-- under this id (the letter stays); nil for no such letter. Remembered as long as a job is kept.
local letter, id, document = ARGV[5], ARGV[6], ARGV[7]
local replayed_key = PREFIX .. 'replayed:' .. letter
if id == '' or #call('XRANGE', DEAD, letter, letter) == 0 then
  return call('GET', replayed_key)
end
local known = document_of(id)
if known and known ~= document or not known and string.find(id, ':', 1, true) and child_of(id) then
  return 'C' .. id
end
local answer = (known and 'D' or 'R') .. id
if not known then
  call('XADD', INBOX, '*', 'job', ARGV[8])
end
call('XDEL', DEAD, letter)
call('SET', replayed_key, answer, 'EX', RETENTION_S)
return answer
