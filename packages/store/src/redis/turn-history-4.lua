#!lua
--[[
  Begins a new epoch over the records as they are, under a number above all that are known. The log begins anew: nobody
  continues from before.
  KEYS: 1 meta, 2 log, 3 history, 4 turns
  ARGV: 1 the new epoch, 2 the epoch that is left, 3 reason, 4 epoch, 5 number and 6 commit id of the latest commit known (or ''),
        7 number and 8 commit id of the latest that still stands, as far as the caller knows (or ''),
        9 how far the numbers may jump, 10 how many turns are kept, 11 commits' channel,
        then earlier turns that the list lacks, as it has them
  Output: {'turned', at in ms, number kept, its commit id, number the epoch begins at} | {'other'} (the store is in another epoch by now)
          | {'on'} (what is known stands: nothing went back)
--]]
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'number', 'commitId')
if meta[1] ~= ARGV[2] then return {'other'} end
local head = tonumber(meta[2] or 0)
local known = tonumber(ARGV[5])
if ARGV[3] == 'went_back' and ARGV[4] == ARGV[2] then
  local id
  if known < head then
    local entry = redis.call('HGET', KEYS[3], ARGV[5])
    id = entry and string.match(entry, '^%S*') or ARGV[6]
  elseif known == head then
    id = meta[3] or ''
  end
  if id == ARGV[6] then return {'on'} end
end

local kept, keptId = string.format('%d', head), meta[3] or ''
if ARGV[7] ~= '' and tonumber(ARGV[7]) < head then kept, keptId = ARGV[7], ARGV[8] end
local number = head
if known and known > head then number = math.min(known, head + tonumber(ARGV[9])) end
number = string.format('%d', number + 1)
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))

for i = 12, #ARGV do redis.call('RPUSH', KEYS[4], ARGV[i]) end
redis.call('RPUSH', KEYS[4], table.concat({now, ARGV[3], ARGV[1], ARGV[2], kept, keptId, ARGV[4], ARGV[5], ARGV[6]}, '\n'))
redis.call('LTRIM', KEYS[4], -ARGV[10], -1)
redis.call('DEL', KEYS[2], KEYS[3])
redis.call('HDEL', KEYS[1], 'logFrom', 'logBytes')
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'number', number, 'commitId', ARGV[1])
redis.call('HSET', KEYS[3], number, ARGV[1] .. ' 0')
redis.call('PUBLISH', ARGV[11], 'turned')
return {'turned', now, kept, keptId, number}
