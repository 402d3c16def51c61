-- Answers the server process, or nil where it may not be asked.
return this_server() or false
