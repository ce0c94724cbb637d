#!lua
--[[
  Makes one commit. Values travel as opaque strings: cjson would turn [] into {} and round large numbers, so nothing but
  the lists of claims (strings only) is ever decoded, and nothing is encoded. A script that fails half-way keeps what it has
  written, so every check comes before the first write.

  KEYS: 1 meta, 2 records, 3 ids, 4 claims, 5 claim index, 6 log, 7 the commit id's, 8 the lease's, 9-21 due, by kind
  ARGV: 1 epoch, 2 commit id, 3 the changes for the log, 4 entries the log keeps, 5 lease token or '', 6 channel,
        7 ms a commit id is remembered, 8 number of checks, 9 number of changes,
        then for each check: key, revision or '' (must not exist)
        then for each change: 'put' or 'delete', index of the kind (from 0), key, claims (JSON), dueAt or '', value
  Output: {'made', number}, also for a commit id made before
          {'lost'} | {'lease'} | {'conflict', key} | {'taken', claim, key of the holder}
--]]
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'number', 'commitId')
if meta[1] ~= ARGV[1] then return {'lost'} end

local made = redis.call('GET', KEYS[7])
if made then return {'made', made} end

if ARGV[5] ~= '' and redis.call('GET', KEYS[8]) ~= ARGV[5] then return {'lease'} end

local at = 10
for _ = 1, tonumber(ARGV[8]) do
  local record = redis.call('HGET', KEYS[2], ARGV[at])
  local revision = record and string.match(record, '^%d+') or ''
  if revision ~= ARGV[at + 1] then return {'conflict', ARGV[at]} end
  at = at + 2
end

local changes, changed = {}, {}
for i = 1, tonumber(ARGV[9]) do
  local key = ARGV[at + 2]
  local record = redis.call('HGET', KEYS[2], key)
  changes[i] = {
    put = ARGV[at] == 'put',
    due = KEYS[9 + ARGV[at + 1]],
    key = key,
    held = record and cjson.decode(string.match(record, '^%d+\n([^\n]*)\n')) or {},
    claims = cjson.decode(ARGV[at + 3]),
    claimsJson = ARGV[at + 3],
    dueAt = ARGV[at + 4],
    value = ARGV[at + 5],
  }
  changed[key] = true
  at = at + 6
end

-- A holder that this very commit changes gives the claim up: no two changes of a commit name the same claim.
for _, change in ipairs(changes) do
  for _, claim in ipairs(change.claims) do
    local holder = redis.call('HGET', KEYS[4], claim)
    if holder and not changed[holder] then return {'taken', claim, holder} end
  end
end

local number = string.format('%d', (meta[2] or 0) + 1)
local previous = meta[3] or ''

-- First among the writes, because it alone could still be refused (by a stream that is ahead).
redis.call('XADD', KEYS[6], 'MAXLEN', '=', ARGV[4], number .. '-0',
  'id', ARGV[2], 'previous', previous, 'changes', ARGV[3])
redis.call('HSET', KEYS[1], 'number', number, 'commitId', ARGV[2])
redis.call('SET', KEYS[7], number, 'PX', ARGV[7])

for _, change in ipairs(changes) do
  for _, claim in ipairs(change.held) do
    redis.call('HDEL', KEYS[4], claim)
    redis.call('ZREM', KEYS[5], claim)
  end
end
for _, change in ipairs(changes) do
  if change.put then
    redis.call('HSET', KEYS[2], change.key, number .. '\n' .. change.claimsJson .. '\n' .. change.value)
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

redis.call('PUBLISH', ARGV[6], table.concat({ARGV[1], number, ARGV[2], previous, ARGV[3]}, '\n'))
return {'made', number}
