-- Answers the shares that were seen beside `default`.
return call('SMEMBERS', SHARES)
