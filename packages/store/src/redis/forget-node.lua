#!lua
--[[
  Takes a node off the list: one whose presence is gone, unless it has come back meanwhile, or a present one with its presence.
  KEYS: 1 node ids, 2 the node's
  ARGV: 1 node id, 2 'absent' or 'present', 3 channel (for 'present')
  Output: 1 when there was such a node, else 0
--]]
if ARGV[2] == 'absent' then
  if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
  return redis.call('ZREM', KEYS[1], ARGV[1])
end
local listed = redis.call('ZREM', KEYS[1], ARGV[1])
local held = redis.call('DEL', KEYS[2])
if listed + held == 0 then return 0 end
redis.call('PUBLISH', ARGV[3], ARGV[1])
return 1
