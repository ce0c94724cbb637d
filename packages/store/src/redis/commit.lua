#!lua
--[[
  Makes one commit. Values travel as opaque strings: cjson would turn [] into {} and round large numbers, so nothing but
  the lists of claims (strings only) is ever decoded, and nothing is encoded. A script that fails half-way keeps what it has
  written, so every check comes before the first write.

  Kinds are for edges or for control planes alone, and so are keys and channels: what edges may read holds nothing of the others, and
  not whose commit it is. Control planes' log and channel have all of it.

  KEYS: 1 meta, 2 control planes' records and 3 ids, 4 claims, 5 claim index, 6 control planes' log, 7 history, 8 the commit id's,
        9 the lease's, 10 edges' records, 11 ids and 12 log, 13 journal, 14 events, from 15 on due, by kind
  ARGV: 1 epoch, 2 commit id, 3 control planes' and 4 edges' changes for the logs (each without its brackets), 5 entries and 6 bytes of
        changes that the logs keep, 7 lease token or '', 8 control planes' and 9 edges' channel, 10 ms a commit id is remembered,
        11 number and 12 id of the latest commit the caller knows (or '', ''), 13 how many commits the history remembers,
        14 number of checks, 15 number of changes, 16 its origin for the log,
        17 how many ms and 18 how many entries the journal keeps, 19 how many ms and 20 how many entries the events, 21 number of events,
        then for each check: 'edge' or 'control', key, revision or '' (must not exist)
        then for each change: 'put' or 'delete', 'edge' or 'control', index of the kind (from 0), key, claims (JSON), dueAt or '', value,
          fields that the journal leaves out (each followed by a space), or '-' (it does not keep the change)
        then each event (JSON)
  Output: {'made', number}, also for a commit id made before
          {'lost'} | {'back'} (the caller knows commits that are gone) | {'lease'} | {'conflict', key}
          | {'taken', claim, key of the holder} | {'damaged', key} (see the script that checks the store)
--]]
-- What is of another type would end this script in the middle.
local function is(key, wanted)
  local type = redis.call('TYPE', key).ok
  return type == wanted or type == 'none'
end
local records, ids = {control = KEYS[2], edge = KEYS[10]}, {control = KEYS[3], edge = KEYS[11]}
for i, wanted in pairs({'hash', 'hash', 'zset', 'hash', 'zset', 'stream', 'hash', [10] = 'hash', [11] = 'zset', [12] = 'stream'}) do
  if not is(KEYS[i], wanted) then return {'damaged', KEYS[i]} end
end
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'number', 'commitId', 'logFrom', 'logBytes', 'lastEvent')
if meta[1] ~= ARGV[1] then return {'lost'} end
local head = 0
if meta[2] or meta[3] then
  local noted = meta[2] and string.match(meta[2], '^%d+$') and redis.call('HGET', KEYS[7], meta[2])
  if not noted or string.match(noted, '^%S*') ~= meta[3] then return {'damaged', KEYS[1]} end
  head = tonumber(meta[2])
end
-- One more would not be read any longer.
if head >= 999999999999999 then return {'damaged', KEYS[1]} end

if ARGV[11] ~= '' then
  local known = tonumber(ARGV[11])
  if known > head then return {'back'} end
  local id = meta[3] or ''
  if known < head then
    local entry = redis.call('HGET', KEYS[7], ARGV[11])
    id = entry and string.match(entry, '^%S*') or ARGV[12]
  end
  if id ~= ARGV[12] then return {'back'} end
end

local made = redis.pcall('GET', KEYS[8])
if type(made) == 'string' and string.match(made, '^%d+$') then
  -- A write, though it changes nothing: what waits for replicas waits for the last one of its own connection.
  redis.call('PEXPIRE', KEYS[8], ARGV[10])
  return {'made', made}
end

if ARGV[7] ~= '' and redis.pcall('GET', KEYS[9]) ~= ARGV[7] then return {'lease'} end

-- A record that cannot be read holds no claims: it can still be replaced or deleted. None has as many as are looked at.
local function claimsOf(record)
  local json = record and string.match(record, '^[%d ]+\n([^\n]*)\n')
  local ok, claims = pcall(cjson.decode, json and #json <= 1048576 and json or '[]')
  local held = {}
  for i = 1, ok and type(claims) == 'table' and math.min(#claims, 100000) or 0 do
    if type(claims[i]) == 'string' then table.insert(held, claims[i]) end
  end
  return held
end

local at = 22
for _ = 1, tonumber(ARGV[14]) do
  local record = redis.call('HGET', records[ARGV[at]], ARGV[at + 1])
  local revision = record and string.match(record, '^%d+') or ''
  if revision ~= ARGV[at + 2] then return {'conflict', ARGV[at + 1]} end
  at = at + 3
end

-- The value with null in place of what the journal leaves out, which is text or null in every record; '' where that is not so.
local function withoutFields(value, leftOut)
  for field in string.gmatch(leftOut, '(%S+) ') do
    local name = '"' .. field .. '":'
    local _, at = string.find(value, name, 1, true)
    while at do
      local stop = at + 4
      if string.sub(value, at + 1, at + 1) == '"' then
        stop = string.find(value, '["\\]', at + 2)
        while stop and string.sub(value, stop, stop) == '\\' do stop = string.find(value, '["\\]', stop + 2) end
        if not stop then return '' end
      elseif string.sub(value, at + 1, stop) ~= 'null' then
        return ''
      end
      value = string.sub(value, 1, at) .. 'null' .. string.sub(value, stop + 1)
      _, at = string.find(value, name, at + 4, true)
    end
  end
  return value
end

local changes, changed = {}, {}
for i = 1, tonumber(ARGV[15]) do
  local audience, key = ARGV[at + 1], ARGV[at + 3]
  local record = redis.call('HGET', records[audience], key)
  changes[i] = {
    put = ARGV[at] == 'put',
    records = records[audience],
    ids = ids[audience],
    due = KEYS[15 + ARGV[at + 2]],
    key = key,
    held = claimsOf(record),
    claims = cjson.decode(ARGV[at + 4]),
    claimsJson = ARGV[at + 4],
    dueAt = ARGV[at + 5],
    value = ARGV[at + 6],
    before = record,
    leftOut = ARGV[at + 7] ~= '-' and ARGV[at + 7],
  }
  if not is(changes[i].due, 'zset') then return {'damaged', changes[i].due} end
  changed[key] = true
  at = at + 8
end

local function exists(key)
  return redis.call('HEXISTS', records.edge, key) == 1 or redis.call('HEXISTS', records.control, key) == 1
end

-- A holder that this very commit changes gives the claim up: no two changes of a commit name the same claim.
for _, change in ipairs(changes) do
  for _, claim in ipairs(change.claims) do
    local holder = redis.call('HGET', KEYS[4], claim)
    if holder and not changed[holder] and exists(holder) then
      return {'taken', claim, holder}
    end
  end
end

local number = string.format('%d', head + 1)
local previous = meta[3] or ''

local whole = '[' .. ARGV[4] .. (ARGV[3] ~= '' and ARGV[4] ~= '' and ',' or '') .. ARGV[3] .. ']'
local edges = '[' .. ARGV[4] .. ']'
local bytesOfEntry = #whole + #edges

-- What the logs hold is known by the history, so that no entry is read only to be dropped. The latest always stays. Where what is noted
-- of the logs cannot be, or they hold far more than they may, they begin anew: a loop does not trust what is stored with its length.
local last = head + 1
local from = math.floor(tonumber(meta[4]) or last)
local bytes = (tonumber(meta[5]) or 0) + bytesOfEntry
if not (from >= 1 and from <= last and from >= last - tonumber(ARGV[5]) - 10000 and bytes >= 0 and bytes < 1e15) then from = last end
while from < last and (last - from >= tonumber(ARGV[5]) or bytes > tonumber(ARGV[6])) do
  local noted = redis.call('HGET', KEYS[7], string.format('%d', from))
  local of, ofEdges = string.match(noted or '', ' (%d+) (%d+)$')
  bytes = bytes - (of and of + ofEdges or 0)
  from = from + 1
end

-- A log that does not take the entry (it is ahead) holds no commit up: both begin anew, and followers take a snapshot.
local function log()
  local since = string.format('%d', from) .. '-0'
  return redis.pcall('XADD', KEYS[6], 'MINID', '=', since, number .. '-0', 'id', ARGV[2], 'previous', previous,
    'origin', ARGV[16], 'changes', whole).err
    or redis.pcall('XADD', KEYS[12], 'MINID', '=', since, number .. '-0', 'id', ARGV[2], 'previous', previous, 'changes', edges).err
end
if log() then
  redis.call('DEL', KEYS[6], KEYS[12])
  from = last
  log()
end
if from == last then bytes = bytesOfEntry end
redis.call('HSET', KEYS[7], number, ARGV[2] .. ' ' .. #whole .. ' ' .. #edges)
redis.call('HDEL', KEYS[7], string.format('%d', head + 1 - ARGV[13]))
redis.call('SET', KEYS[8], number, 'PX', ARGV[10])
redis.call('HSET', KEYS[1], 'number', number, 'commitId', ARGV[2], 'logFrom', string.format('%d', from),
  'logBytes', string.format('%d', bytes))

for _, change in ipairs(changes) do
  for _, claim in ipairs(change.held) do
    redis.call('HDEL', KEYS[4], claim)
    redis.call('ZREM', KEYS[5], claim)
  end
end
for _, change in ipairs(changes) do
  if change.put then
    local due = change.dueAt == '' and '' or ' ' .. change.dueAt
    redis.call('HSET', change.records, change.key, number .. due .. '\n' .. change.claimsJson .. '\n' .. change.value)
    redis.call('ZADD', change.ids, 0, change.key)
    for _, claim in ipairs(change.claims) do
      redis.call('HSET', KEYS[4], claim, change.key)
      redis.call('ZADD', KEYS[5], 0, claim)
    end
  else
    redis.call('HDEL', change.records, change.key)
    redis.call('ZREM', change.ids, change.key)
  end
  if change.put and change.dueAt ~= '' then
    redis.call('ZADD', change.due, change.dueAt, change.key)
  elseif change.before and not string.find(change.before, '^%d+\n') then
    redis.call('ZREM', change.due, change.key)
  end
end

-- Nobody waits for the journal: one that does not take an entry begins anew. What only seals anew is not in it.
local journaled = false
for _, change in ipairs(changes) do
  local before = change.leftOut and change.before and string.match(change.before, '^[%d ]+\n[^\n]*\n(.*)$') or ''
  before = withoutFields(before, change.leftOut or '')
  local after = withoutFields(change.value, change.leftOut or '')
  if change.leftOut and (before ~= after or not change.put) then
    local entry = {'XADD', KEYS[13], 'MAXLEN', '=', ARGV[18], '*', 'position', table.concat({ARGV[1], number, ARGV[2]}, ' '), 'origin', ARGV[16],
      'record', change.key, 'before', before, 'after', after}
    if redis.pcall(unpack(entry)).err then
      redis.call('DEL', KEYS[13])
      redis.call(unpack(entry))
    end
    journaled = true
  end
end
if journaled then
  local time = redis.call('TIME')
  redis.call('XTRIM', KEYS[13], 'MINID', '=', string.format('%.0f', math.max(time[1] * 1000 + math.floor(time[2] / 1000) - ARGV[17], 0)))
end

-- As the journal: one that does not take an event begins anew, and whoever reads it notices by the event before that is named.
if ARGV[21] ~= '0' then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local before = meta[6] or ''
  for i = 1, tonumber(ARGV[21]) do
    local index = string.format('%d', i - 1)
    local entry = {'XADD', KEYS[14], 'MAXLEN', '=', ARGV[20], number .. '-' .. index,
      'epoch', ARGV[1], 'at', string.format('%.0f', now), 'previous', before, 'event', ARGV[at + i - 1]}
    if redis.pcall(unpack(entry)).err then
      redis.call('DEL', KEYS[14])
      redis.call(unpack(entry))
    end
    before = string.rep('0', 15 - #number) .. number .. '-' .. string.format('%04d', i - 1) .. '-' .. string.sub(ARGV[1], 1, 8)
  end
  redis.call('HSET', KEYS[1], 'lastEvent', before)
  -- In their order, dates go up. Those of one commit go at once; what is left goes with the next event.
  for _ = 1, 100 do
    local oldest = redis.call('XRANGE', KEYS[14], '-', '+', 'COUNT', 1)[1]
    if not oldest or tonumber(oldest[2][4]) >= now - ARGV[19] then break end
    redis.call('XTRIM', KEYS[14], 'MINID', '=', string.format('%.0f', tonumber(string.match(oldest[1], '^%d+')) + 1))
  end
end

redis.call('PUBLISH', ARGV[8], table.concat({ARGV[1], number, ARGV[2], previous, ARGV[16], whole}, '\n'))
redis.call('PUBLISH', ARGV[9], table.concat({ARGV[1], number, ARGV[2], previous, edges}, '\n'))
return {'made', number}
