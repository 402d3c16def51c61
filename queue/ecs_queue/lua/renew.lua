-- ARGV: 5 owner, 6 lease in ms. Answers nil when the lease ran out.
if not has_lease(ARGV[5]) then
  return false
end
call('ZADD', OWNERS, int(NOW + tonumber(ARGV[6])), ARGV[5])
return 1
