#!lua
--[[
  KEYS: 1 the lease's
  ARGV: 1 token
  Output: 1 when it was still this lease, else 0
--]]
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
