#!lua
--[[
  Takes a node without a presence off the list, unless it has come back meanwhile.
  KEYS: 1 node ids, 2 the node's
  ARGV: 1 node id
  Output: 1 when it was taken off, else 0
--]]
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
return redis.call('ZREM', KEYS[1], ARGV[1])
