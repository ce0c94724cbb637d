#!lua
--[[
  The claims between two of them, in their order, with the records that hold them: at one moment.
  KEYS: 1 index of claims, 2 holders by claim
  ARGV: 1 from, 2 to, as ZRANGEBYLEX has them; 3 how many at most
  Output: {claims, holders}; what nobody holds is left out
--]]
local found = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])
local claims, holders = {}, {}
for _, claim in ipairs(found) do
  local holder = redis.call('HGET', KEYS[2], claim)
  if holder then
    claims[#claims + 1] = claim
    holders[#holders + 1] = holder
  end
end
return {claims, holders}
