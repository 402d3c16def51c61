-- ARGV: 5 owner, then three a job: id, epoch, reason.
local owner = ARGV[5]
for i = 6, #ARGV, 3 do
  local id = ARGV[i]
  if held(id, owner, ARGV[i + 1]) then
    call('HDEL', claimed_key(owner), id)
    end_job(id, 'RUNNABLE', 'FAILED', ARGV[i + 2])
  end
end
return 1
