#!lua
--[[
  Begins a new epoch over the records as they are, under a number above all that are known. The logs begin anew: nobody
  continues from before.
  KEYS: 1 meta, 2 control planes' log, 3 history, 4 turns, 5 edges' log
  ARGV: 1 the new epoch, 2 the epoch that is left, 3 reason, 4 epoch, 5 number and 6 commit id of the latest commit known (or ''),
        7 number and 8 commit id of the latest that still stands, as far as the caller knows (or ''),
        9 how far the numbers may jump, 10 how many turns are kept, 11 and 12 the channels of commits,
        then earlier turns that the list lacks, as it has them
  Output: {'turned', at in ms, number kept, its commit id, number the epoch begins at} | {'other'} (the store is in another epoch by now)
          | {'on'} (what is known stands: nothing went back) | {'damaged'} (the head is not the latest of the history: it is mended first)
--]]
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'number', 'commitId')
if meta[1] ~= ARGV[2] then return {'other'} end
-- Where the head cannot be read, the numbers go on after what is known.
local head = tonumber(meta[2] and string.match(meta[2], '^%d+$') or '')
local readable = not meta[2] or head ~= nil and head < 999999999999999
if not head or not readable then head = 0 end
local known = tonumber(ARGV[5])
if ARGV[3] == 'went_back' and (meta[2] or meta[3]) then
  local noted = redis.pcall('HGET', KEYS[3], meta[2] or '')
  if not readable or type(noted) ~= 'string' or string.match(noted, '^%S*') ~= meta[3] then return {'damaged'} end
end
if ARGV[3] == 'went_back' and ARGV[4] == ARGV[2] then
  local id
  if known < head then
    local entry = redis.pcall('HGET', KEYS[3], ARGV[5])
    id = type(entry) == 'string' and string.match(entry, '^%S*') or ARGV[6]
  elseif known == head then
    id = meta[3] or ''
  end
  if id == ARGV[6] then return {'on'} end
end

local kept, keptId = string.format('%d', head), meta[3] or ''
if ARGV[7] ~= '' and tonumber(ARGV[7]) < head then kept, keptId = ARGV[7], ARGV[8] end
local number = head
if known and known > head then number = readable and math.min(known, head + tonumber(ARGV[9])) or known end
number = string.format('%d', number + 1)
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))

if redis.call('TYPE', KEYS[4]).ok ~= 'list' then redis.call('DEL', KEYS[4]) end
for i = 13, #ARGV do redis.call('RPUSH', KEYS[4], ARGV[i]) end
redis.call('RPUSH', KEYS[4], table.concat({now, ARGV[3], ARGV[1], ARGV[2], kept, keptId, ARGV[4], ARGV[5], ARGV[6]}, '\n'))
redis.call('LTRIM', KEYS[4], -ARGV[10], -1)
redis.call('DEL', KEYS[2], KEYS[3], KEYS[5])
redis.call('HDEL', KEYS[1], 'logFrom', 'logBytes')
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'number', number, 'commitId', ARGV[1])
redis.call('HSET', KEYS[3], number, ARGV[1] .. ' 0')
redis.call('PUBLISH', ARGV[11], 'turned')
redis.call('PUBLISH', ARGV[12], 'turned')
return {'turned', now, kept, keptId, number}
