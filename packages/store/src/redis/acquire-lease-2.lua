#!lua
--[[
  Grants a lease unless one still runs. The key expires with the lease, by this server's clock. The token is above the last one and
  at least the clock in microseconds: a replica that takes over without the last grants does not give their tokens once more.
  KEYS: 1 the lease's, 2 the last fencing token
  ARGV: 1 ttl in ms
  Output: {token, expiresAt in ms}, or {} while another runs
--]]
if redis.call('EXISTS', KEYS[1]) == 1 then return {} end
local time = redis.call('TIME')
local token = math.max((tonumber(redis.call('GET', KEYS[2])) or 0) + 1, time[1] * 1000000 + time[2])
local text = string.format('%.0f', token)
redis.call('SET', KEYS[2], text)
redis.call('SET', KEYS[1], text, 'PX', ARGV[1])
return {token, redis.call('PEXPIRETIME', KEYS[1])}
