#!lua
--[[
  Takes a presence back if it is still this instance's.
  KEYS: 1 the node's
  ARGV: 1 instance (JSON string), 2 channel, 3 node id
  Output: 1 when it was removed, else 0
--]]
local known = redis.call('GET', KEYS[1])
if not known or string.match(known, '^%d+\n([^\n]*)\n') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[2], ARGV[3])
return 1
