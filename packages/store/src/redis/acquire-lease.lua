#!lua
--[[
  Grants a lease unless one still runs. The key expires with the lease, by this server's clock. The token is above the last one and
  at least the clock in microseconds: a replica that takes over without the last grants does not give their tokens once more. What
  stands there and is no grant (it has no end), or no token (years ahead of the clock), is replaced.
  KEYS: 1 the lease's, 2 the last fencing token
  ARGV: 1 ttl in ms
  Output: {token, expiresAt in ms}, or {} while another runs
--]]
if redis.call('TYPE', KEYS[1]).ok == 'string' and redis.call('PTTL', KEYS[1]) >= 0 then return {} end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local last = redis.pcall('GET', KEYS[2])
last = type(last) == 'string' and tonumber(last) or 0
if not (last >= 0 and last < now + 1e14) then last = 0 end
local token = math.max(last + 1, now)
local text = string.format('%.0f', token)
redis.call('SET', KEYS[2], text)
redis.call('SET', KEYS[1], text, 'PX', ARGV[1])
return {token, redis.call('PEXPIRETIME', KEYS[1])}
