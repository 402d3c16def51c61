-- ARGV: 5 what `rewound` answered. It was dealt with; a later one stands.
if call('GET', PREFIX .. 'rewound') == ARGV[5] then
  call('DEL', PREFIX .. 'rewound')
end
return 1
