#!lua
--[[
  Looks whether each key is of the type that it has to be, and whether the head is the latest commit of the history. What can be made
  anew is: from the records their ids, claims and due dates; the history and the log begin anew, as after a restore; lists that
  only tell, and the last fencing token, are made as they are written. All of it within one script: no commit sees half of it.
  KEYS: 1 meta, 2 records, 3 ids, 4 claims, 5 claim index, 6 log, 7 history, 8 turns, 9 fence, 10 node ids, 11 journal, from 12 on due, by kind
  ARGV: the kinds, in the order of their keys
  Output: for each fault: key, what is wrong with it, '1' when it was mended, else '0'
--]]
local wanted = {'hash', 'hash', 'zset', 'hash', 'zset', 'stream', 'hash', 'list', 'string', 'zset', 'stream'}
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
if wrong[1] or wrong[2] then
  for i = 1, 2 do if wrong[i] then tell(i, wrong[i], '0') end end
  return faults
end

-- What is one thing with another begins anew with it.
for i = 6, 11 do
  if wrong[i] then
    redis.call('DEL', KEYS[i])
    tell(i, wrong[i], '1')
  end
end
if wrong[6] or wrong[7] then redis.call('HDEL', KEYS[1], 'logFrom', 'logBytes') end
if wrong[7] then redis.call('DEL', KEYS[6]) end

local meta = redis.call('HMGET', KEYS[1], 'epoch', 'number', 'commitId')
local function isNumber(text) return string.match(text, '^%d+$') ~= nil and #text <= 15 end
if meta[1] and meta[3] then
  local number = meta[2] or ''
  local noted = isNumber(number) and redis.call('HGET', KEYS[7], number)
  if not noted or string.match(noted, '^%S*') ~= meta[3] then
    -- The history holds at most what `commit` leaves in it; what else stands there is looked through once.
    local found
    local cursor = '0'
    repeat
      local page = redis.call('HSCAN', KEYS[7], cursor, 'COUNT', 1000)
      cursor = page[1]
      for i = 1, #page[2], 2 do
        if isNumber(page[2][i]) and string.match(page[2][i + 1], '^%S*') == meta[3] then found = page[2][i] end
      end
    until cursor == '0' or found
    if found then
      redis.call('HSET', KEYS[1], 'number', found)
      redis.call('HDEL', KEYS[1], 'logFrom', 'logBytes')
      redis.call('DEL', KEYS[6])
      tell(1, 'named revision "' .. string.sub(number, 1, 40) .. '" as the latest; it is ' .. found, '1')
    elseif not isNumber(number) then
      tell(1, 'names revision "' .. string.sub(number, 1, 40) .. '" as the latest, which is none', '0')
    elseif noted then
      redis.call('HSET', KEYS[1], 'commitId', string.match(noted, '^%S*'))
      tell(1, 'named a commit as the latest that the history does not have', '1')
    else
      redis.call('HSET', KEYS[7], number, meta[3] .. ' 0')
      if not wrong[7] then tell(7, 'lacked the latest commit', '1') end
    end
  end
end

local rebuilt = wrong[3] or wrong[4] or wrong[5]
for i = 12, #KEYS do rebuilt = rebuilt or wrong[i] end
if not rebuilt then return faults end
local indexes = wrong[3] or wrong[4] or wrong[5]
for i = 3, #KEYS do
  if wrong[i] and (i <= 5 or i > 11) then tell(i, wrong[i], '1') end
  if (indexes and i <= 5) or (wrong[i] and i > 11) then redis.call('DEL', KEYS[i]) end
end
local due = {}
for i = 12, #KEYS do if wrong[i] then due[ARGV[i - 11]] = KEYS[i] end end
local cursor = '0'
repeat
  local page = redis.call('HSCAN', KEYS[2], cursor, 'COUNT', 500)
  cursor = page[1]
  for i = 1, #page[2], 2 do
    local key, record = page[2][i], page[2][i + 1]
    if indexes then
      redis.call('ZADD', KEYS[3], 0, key)
      local json = string.match(record, '^[%d ]+\n([^\n]*)\n')
      if json and json ~= '[]' and #json <= 1048576 then
        local ok, claims = pcall(cjson.decode, json)
        for _, claim in ipairs(ok and type(claims) == 'table' and claims or {}) do
          if type(claim) == 'string' then
            redis.call('HSET', KEYS[4], claim, key)
            redis.call('ZADD', KEYS[5], 0, claim)
          end
        end
      end
    end
    local queue = due[string.match(key, '^[^/]*')]
    local at = queue and string.match(record, '^%d+ (%d+)\n')
    if at then redis.call('ZADD', queue, at, key) end
  end
until cursor == '0'
return faults
