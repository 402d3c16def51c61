-- Answers since when (ms) the queue may have gone back in time, and how long that is (ms); nil where it
-- has not, or where that was dealt with.
local since = call('GET', PREFIX .. 'rewound')
return since and {since, int(NOW - tonumber(since))}
