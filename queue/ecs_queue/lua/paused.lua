-- Answers why the whole queue is suspended, or nil.
return call('GET', PAUSED)
