-- ARGV: 5 owner, then ids. What the owner holds of these is ready again, under its old score.
local owner = ARGV[5]
for i = 6, #ARGV do
  if call('HDEL', claimed_key(owner), ARGV[i]) == 1 then
    to_queue(ARGV[i], score_of(ARGV[i]), 0)
  end
end
return 1
