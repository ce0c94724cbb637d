#!lua
--[[
  KEYS: 1 the lease's
  ARGV: 1 token, 2 ttl in ms
  Output: expiresAt in ms, or -1 when the lease has run out or gone to another
--]]
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return -1 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('PEXPIRETIME', KEYS[1])
