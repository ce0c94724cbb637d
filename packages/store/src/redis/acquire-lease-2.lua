#!lua
--[[
  Grants a lease unless one still runs. The key expires with the lease, by this server's clock.
  KEYS: 1 the lease's, 2 the counter of fencing tokens
  ARGV: 1 ttl in ms
  Output: {token, expiresAt in ms}, or {} while another runs
--]]
if redis.call('EXISTS', KEYS[1]) == 1 then return {} end
local token = redis.call('INCR', KEYS[2])
redis.call('SET', KEYS[1], token, 'PX', ARGV[1])
return {token, redis.call('PEXPIRETIME', KEYS[1])}
