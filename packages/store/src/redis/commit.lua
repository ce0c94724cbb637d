#!lua
--[[
  Makes one commit. Values travel as opaque strings: cjson would turn [] into {} and round large numbers, so nothing but
  the lists of claims (strings only) is ever decoded, and nothing is encoded. A script that fails half-way keeps what it has
  written, so every check comes before the first write.

  KEYS: 1 meta, 2 records, 3 ids, 4 claims, 5 claim index, 6 log, 7 history, 8 the commit id's, 9 the lease's, 10 journal,
        from 11 on due, by kind
  ARGV: 1 epoch, 2 commit id, 3 the changes for the log, 4 entries and 5 bytes of changes that the log keeps, 6 lease token or '',
        7 channel, 8 ms a commit id is remembered, 9 number and 10 id of the latest commit the caller knows (or '', ''),
        11 how many commits the history remembers, 12 number of checks, 13 number of changes, 14 its origin for the log,
        15 how many ms and 16 how many entries the journal keeps,
        then for each check: key, revision or '' (must not exist)
        then for each change: 'put' or 'delete', index of the kind (from 0), key, claims (JSON), dueAt or '', value,
          fields that the journal leaves out (each followed by a space), or '-' (it does not keep the change)
  Output: {'made', number}, also for a commit id made before
          {'lost'} | {'back'} (the caller knows commits that are gone) | {'lease'} | {'conflict', key}
          | {'taken', claim, key of the holder} | {'damaged', key} (see the script that checks the store)
--]]
-- What is of another type would end this script in the middle.
local function is(key, wanted)
  local type = redis.call('TYPE', key).ok
  return type == wanted or type == 'none'
end
for i, wanted in ipairs({'hash', 'hash', 'zset', 'hash', 'zset', 'stream', 'hash'}) do
  if not is(KEYS[i], wanted) then return {'damaged', KEYS[i]} end
end
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'number', 'commitId', 'logFrom', 'logBytes')
if meta[1] ~= ARGV[1] then return {'lost'} end
local head = 0
if meta[2] or meta[3] then
  local noted = meta[2] and string.match(meta[2], '^%d+$') and redis.call('HGET', KEYS[7], meta[2])
  if not noted or string.match(noted, '^%S*') ~= meta[3] then return {'damaged', KEYS[1]} end
  head = tonumber(meta[2])
end
-- One more would not be read any longer.
if head >= 999999999999999 then return {'damaged', KEYS[1]} end

if ARGV[9] ~= '' then
  local known = tonumber(ARGV[9])
  if known > head then return {'back'} end
  local id = meta[3] or ''
  if known < head then
    local entry = redis.call('HGET', KEYS[7], ARGV[9])
    id = entry and string.match(entry, '^%S*') or ARGV[10]
  end
  if id ~= ARGV[10] then return {'back'} end
end

local made = redis.pcall('GET', KEYS[8])
if type(made) == 'string' and string.match(made, '^%d+$') then
  -- A write, though it changes nothing: what waits for replicas waits for the last one of its own connection.
  redis.call('PEXPIRE', KEYS[8], ARGV[8])
  return {'made', made}
end

if ARGV[6] ~= '' and redis.pcall('GET', KEYS[9]) ~= ARGV[6] then return {'lease'} end

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

local at = 17
for _ = 1, tonumber(ARGV[12]) do
  local record = redis.call('HGET', KEYS[2], ARGV[at])
  local revision = record and string.match(record, '^%d+') or ''
  if revision ~= ARGV[at + 1] then return {'conflict', ARGV[at]} end
  at = at + 2
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
for i = 1, tonumber(ARGV[13]) do
  local key = ARGV[at + 2]
  local record = redis.call('HGET', KEYS[2], key)
  changes[i] = {
    put = ARGV[at] == 'put',
    due = KEYS[11 + ARGV[at + 1]],
    key = key,
    held = claimsOf(record),
    claims = cjson.decode(ARGV[at + 3]),
    claimsJson = ARGV[at + 3],
    dueAt = ARGV[at + 4],
    value = ARGV[at + 5],
    before = record,
    leftOut = ARGV[at + 6] ~= '-' and ARGV[at + 6],
  }
  if not is(changes[i].due, 'zset') then return {'damaged', changes[i].due} end
  changed[key] = true
  at = at + 7
end

-- A holder that this very commit changes gives the claim up: no two changes of a commit name the same claim.
for _, change in ipairs(changes) do
  for _, claim in ipairs(change.claims) do
    local holder = redis.call('HGET', KEYS[4], claim)
    if holder and not changed[holder] and redis.call('HEXISTS', KEYS[2], holder) == 1 then
      return {'taken', claim, holder}
    end
  end
end

local number = string.format('%d', head + 1)
local previous = meta[3] or ''

-- A log that does not take the entry (it is ahead) holds no commit up: it begins anew, and followers take a snapshot.
local entry = {'XADD', KEYS[6], number .. '-0', 'id', ARGV[2], 'previous', previous, 'origin', ARGV[14], 'changes', ARGV[3]}
if redis.pcall(unpack(entry)).err then
  redis.call('DEL', KEYS[6])
  redis.call(unpack(entry))
  meta[4], meta[5] = nil, nil
end
redis.call('HSET', KEYS[7], number, ARGV[2] .. ' ' .. #ARGV[3])
redis.call('HDEL', KEYS[7], string.format('%d', head + 1 - ARGV[11]))
redis.call('SET', KEYS[8], number, 'PX', ARGV[8])

-- What the log holds is known by the history, so that no entry is read only to be dropped. The latest always stays. Where what is noted
-- of the log cannot be, or it holds far more than it may, it begins anew: a loop does not trust what is stored with its length.
local last = head + 1
local from = math.floor(tonumber(meta[4]) or last)
local bytes = (tonumber(meta[5]) or 0) + #ARGV[3]
if not (from >= 1 and from <= last and from >= last - tonumber(ARGV[4]) - 10000 and bytes >= 0 and bytes < 1e15) then from = last end
while from < last and (last - from >= tonumber(ARGV[4]) or bytes > tonumber(ARGV[5])) do
  local entry = redis.call('HGET', KEYS[7], string.format('%d', from))
  bytes = bytes - tonumber(entry and string.match(entry, '%d+$') or 0)
  from = from + 1
end
if from == last then bytes = #ARGV[3] end
redis.call('XTRIM', KEYS[6], 'MINID', '=', string.format('%d', from) .. '-0')
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
    redis.call('HSET', KEYS[2], change.key, number .. due .. '\n' .. change.claimsJson .. '\n' .. change.value)
    redis.call('ZADD', KEYS[3], 0, change.key)
    for _, claim in ipairs(change.claims) do
      redis.call('HSET', KEYS[4], claim, change.key)
      redis.call('ZADD', KEYS[5], 0, claim)
    end
  else
    redis.call('HDEL', KEYS[2], change.key)
    redis.call('ZREM', KEYS[3], change.key)
  end
  if change.put and change.dueAt ~= '' then
    redis.call('ZADD', change.due, change.dueAt, change.key)
  else
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
    local entry = {'XADD', KEYS[10], '*', 'position', table.concat({ARGV[1], number, ARGV[2]}, ' '), 'origin', ARGV[14],
      'record', change.key, 'before', before, 'after', after}
    if redis.pcall(unpack(entry)).err then
      redis.call('DEL', KEYS[10])
      redis.call(unpack(entry))
    end
    journaled = true
  end
end
if journaled then
  local time = redis.call('TIME')
  redis.call('XTRIM', KEYS[10], 'MAXLEN', '=', ARGV[16])
  redis.call('XTRIM', KEYS[10], 'MINID', '=', string.format('%.0f', math.max(time[1] * 1000 + math.floor(time[2] / 1000) - ARGV[15], 0)))
end

redis.call('PUBLISH', ARGV[7], table.concat({ARGV[1], number, ARGV[2], previous, ARGV[14], ARGV[3]}, '\n'))
return {'made', number}
