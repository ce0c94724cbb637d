#!lua
--[[
  Writes a node's presence, unless another live instance on another home has it.
  KEYS: 1 the node's
  ARGV: 1 instance (JSON string), 2 home (JSON string), 3 report (JSON), 4 ms after which a silent node is lost,
        5 ms a presence is kept, 6 channel, 7 node id
  Output: 1, or 0 when the node id is taken
--]]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('GET', KEYS[1])
if known then
  local seenAt, instance, home = string.match(known, '^(%d+)\n([^\n]*)\n([^\n]*)\n')
  if seenAt and instance ~= ARGV[1] and home ~= ARGV[2] and now - seenAt <= tonumber(ARGV[4]) then return 0 end
end
local presence = table.concat({string.format('%.0f', now), ARGV[1], ARGV[2], ARGV[3]}, '\n')
redis.call('SET', KEYS[1], presence, 'PX', ARGV[5])
redis.call('PUBLISH', ARGV[6], ARGV[7])
return 1
