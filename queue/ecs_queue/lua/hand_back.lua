-- ARGV: 5 owner. Answers how many claims went back.
return give_back(ARGV[5])
