-- ARGV: 5 owner, 6 lease in ms. What an earlier life of this owner held goes back first.
give_back(ARGV[5])
call('ZADD', OWNERS, int(NOW + tonumber(ARGV[6])), ARGV[5])
return 1
