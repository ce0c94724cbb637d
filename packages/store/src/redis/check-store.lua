#!lua
--[[
  Looks whether each key is of the type that it has to be, and whether the head is the latest commit of the history. What can be made
  anew is: from the records their ids, claims and due dates; the history and the logs begin anew, as after a restore; lists that
  only tell, and the last fencing token, are made as they are written. All of it within one script: no commit sees half of it.
  KEYS: 1 meta, 2 control planes' and 3 edges' records, 4 and 5 their ids, 6 claims, 7 claim index, 8 and 9 the logs, 10 history, 11 turns,
        12 fence, 13 node ids, 14 journal, 15 events, from 16 on due, by kind
  ARGV: the kinds, in the order of their keys
  Output: for each fault: key, what is wrong with it, '1' when it was mended, else '0'
--]]
local wanted = {'hash', 'hash', 'hash', 'zset', 'zset', 'hash', 'zset', 'stream', 'stream', 'hash', 'list', 'string', 'zset', 'stream', 'stream'}
local firstDue = 16
local wrong, faults = {}, {}
for i, key in ipairs(KEYS) do
  local type = redis.call('TYPE', key).ok
  if type ~= 'none' and type ~= (wanted[i] or 'zset') then wrong[i] = 'is a ' .. type .. ', not a ' .. (wanted[i] or 'zset') end
end
local function tell(i, what, mended)
  table.insert(faults, KEYS[i])
  table.insert(faults, what)
  table.insert(faults, mended)
end
if wrong[1] or wrong[2] or wrong[3] then
  for i = 1, 3 do if wrong[i] then tell(i, wrong[i], '0') end end
  return faults
end

-- What is one thing with another begins anew with it.
for i = 8, firstDue - 1 do
  if wrong[i] then
    redis.call('DEL', KEYS[i])
    tell(i, wrong[i], '1')
  end
end
if wrong[8] or wrong[9] or wrong[10] then
  redis.call('HDEL', KEYS[1], 'logFrom', 'logBytes')
  redis.call('DEL', KEYS[8], KEYS[9])
end

local meta = redis.call('HMGET', KEYS[1], 'epoch', 'number', 'commitId')
local function isNumber(text) return string.match(text, '^%d+$') ~= nil and #text <= 15 end
if meta[1] and meta[3] then
  local number = meta[2] or ''
  local noted = isNumber(number) and redis.call('HGET', KEYS[10], number)
  if not noted or string.match(noted, '^%S*') ~= meta[3] then
    -- The history holds at most what `commit` leaves in it; what else stands there is looked through once.
    local found
    local cursor = '0'
    repeat
      local page = redis.call('HSCAN', KEYS[10], cursor, 'COUNT', 1000)
      cursor = page[1]
      for i = 1, #page[2], 2 do
        if isNumber(page[2][i]) and string.match(page[2][i + 1], '^%S*') == meta[3] then found = page[2][i] end
      end
    until cursor == '0' or found
    if found then
      redis.call('HSET', KEYS[1], 'number', found)
      redis.call('HDEL', KEYS[1], 'logFrom', 'logBytes')
      redis.call('DEL', KEYS[8], KEYS[9])
      tell(1, 'named revision "' .. string.sub(number, 1, 40) .. '" as the latest; it is ' .. found, '1')
    elseif not isNumber(number) then
      tell(1, 'names revision "' .. string.sub(number, 1, 40) .. '" as the latest, which is none', '0')
    elseif noted then
      redis.call('HSET', KEYS[1], 'commitId', string.match(noted, '^%S*'))
      tell(1, 'named a commit as the latest that the history does not have', '1')
    else
      redis.call('HSET', KEYS[10], number, meta[3] .. ' 0')
      if not wrong[10] then tell(10, 'lacked the latest commit', '1') end
    end
  end
end

local indexes = wrong[4] or wrong[5] or wrong[6] or wrong[7]
local rebuilt = indexes
for i = firstDue, #KEYS do rebuilt = rebuilt or wrong[i] end
if not rebuilt then return faults end
local due = {}
for i = 4, #KEYS do
  local isIndex, isDue = i <= 7, i >= firstDue
  if wrong[i] and (isIndex or isDue) then tell(i, wrong[i], '1') end
  if (indexes and isIndex) or (wrong[i] and isDue) then redis.call('DEL', KEYS[i]) end
  if wrong[i] and isDue then due[ARGV[i - firstDue + 1]] = KEYS[i] end
end
local function rebuild(key, record, ids)
  if indexes then
    redis.call('ZADD', ids, 0, key)
    local json = string.match(record, '^[%d ]+\n([^\n]*)\n')
    if json and json ~= '[]' and #json <= 1048576 then
      local ok, claims = pcall(cjson.decode, json)
      for _, claim in ipairs(ok and type(claims) == 'table' and claims or {}) do
        if type(claim) == 'string' then
          redis.call('HSET', KEYS[6], claim, key)
          redis.call('ZADD', KEYS[7], 0, claim)
        end
      end
    end
  end
  local queue = due[string.match(key, '^[^/]*')]
  local at = queue and string.match(record, '^%d+ (%d+)\n')
  if at then redis.call('ZADD', queue, at, key) end
end
for i = 2, 3 do
  local cursor = '0'
  repeat
    local page = redis.call('HSCAN', KEYS[i], cursor, 'COUNT', 500)
    cursor = page[1]
    for at = 1, #page[2], 2 do rebuild(page[2][at], page[2][at + 1], KEYS[i + 2]) end
  until cursor == '0'
end
return faults
