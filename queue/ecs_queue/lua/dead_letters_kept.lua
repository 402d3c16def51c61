-- Answers how many dead letters there are.
return call('XLEN', DEAD)
