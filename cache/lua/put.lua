-- put: stores one version of a session with its entries in this shard, in
-- place of the version that the caller read. What needs memory comes first, so
-- that a full Redis refuses the whole of it.
--
-- KEYS: 1 session, 2 tombstone, 3 created, 4 catalogue, 5 pending,
--       6... lists that get the entry, then lists that lose it
-- ARGV: 1 version, 2 version that the caller read ('' = none),
--       3 session ID, 4 sequence, 5 creation date (score),
--       6 TTL's end in ms ('' = none), 7 card, 8 its score, 9 card that it replaces ('' = none),
--       10 how many lists get the entry, 11 note of entries added in other shards ('' = none),
--       12 note of entries to remove there ('' = none), 13 now (µs),
--       14 how many sessions may be stored (0 = no limit),
--       15 how many other sessions the list of the session's user, which is
--       key 6 then, must be short of (0 = no limit),
--       16 how many field arguments follow, 17... these, then fields to remove
-- Returns ok; done: this very write has happened before; conflict: another
-- version is stored; deleted: a tombstone forbids it; unswept: entries of an
-- expired session with this ID remain; late: the note has been condemned; full:
-- no further session may be stored; crowded: the user may have no further one.
local stored = redis.call('HGET', KEYS[1], 'v') or ''
if stored == ARGV[1] then
  return 'done'
end
if stored ~= ARGV[2] then
  return 'conflict'
end
local tombstone = redis.call('GET', KEYS[2])
if tombstone then
  -- Sequences have up to 20 digits, more than a Lua number holds.
  local last = string.match(tombstone, '^%d+')
  if #ARGV[4] < #last or (#ARGV[4] == #last and ARGV[4] <= last) then
    return 'deleted'
  end
end
if stored == '' then
  if redis.call('ZSCORE', KEYS[3], ARGV[3]) then
    return 'unswept'
  end
  if ARGV[14] ~= '0' and redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[14]) then
    return 'full'
  end
end
if ARGV[11] ~= '' and not redis.call('ZSCORE', KEYS[5], ARGV[11]) then
  return 'late'
end
if ARGV[15] ~= '0' then
  local others = redis.call('ZCARD', KEYS[6])
  if others >= tonumber(ARGV[15]) and redis.call('ZSCORE', KEYS[6], ARGV[3]) then
    others = others - 1
  end
  if others >= tonumber(ARGV[15]) then
    return 'crowded'
  end
end

local fields = tonumber(ARGV[16])
redis.call('HSET', KEYS[1], unpack(ARGV, 17, 16 + fields))
if #ARGV > 16 + fields then
  redis.call('HDEL', KEYS[1], unpack(ARGV, 17 + fields))
end
if ARGV[6] == '' then
  redis.call('PERSIST', KEYS[1])
else
  redis.call('PEXPIREAT', KEYS[1], ARGV[6])
end
redis.call('ZADD', KEYS[4], ARGV[8], ARGV[7])
redis.call('ZADD', KEYS[3], ARGV[5], ARGV[3])
local gets = 5 + tonumber(ARGV[10])
for i = 6, gets do
  redis.call('ZADD', KEYS[i], ARGV[5], ARGV[3])
end
for i = gets + 1, #KEYS do
  redis.call('ZREM', KEYS[i], ARGV[3])
end
if ARGV[9] ~= '' and ARGV[9] ~= ARGV[7] then
  redis.call('ZREM', KEYS[4], ARGV[9])
end
if ARGV[12] ~= '' then
  redis.call('ZADD', KEYS[5], ARGV[13], ARGV[12])
end
if ARGV[11] ~= '' then
  redis.call('ZREM', KEYS[5], ARGV[11])
end
return 'ok'
