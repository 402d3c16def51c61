-- ARGV: 5 owner, then three a job: id, epoch, reason.
for i = 6, #ARGV, 3 do
  if held(ARGV[i], ARGV[5], ARGV[i + 1]) then
    unfold(ARGV[i])
    call('HSET', job_key(ARGV[i]), 'w', ARGV[i + 2])
  end
end
return 1
