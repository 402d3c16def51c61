-- ARGV: 5 token. Takes away what was laid down and not submitted.
if call('TTL', graph_key(ARGV[5])) > 0 then
  call('DEL', graph_key(ARGV[5]))
end
return 1
