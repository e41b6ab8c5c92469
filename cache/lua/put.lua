#!lua
-- put: stores one version of a session with its entries in this shard, in
-- place of the version that the caller read. The first line makes a replica, and
-- a Redis that is full, refuse it before it begins.
--
-- KEYS: 1 session, 2 tombstone, 3 created, 4 catalogue, 5 pending,
--       6... lists that get the entry, then lists that lose it, then, where
--       there may be one, the end of the session, and where it is asked about, the question
-- ARGV: 1 version, 2 version that the caller read ('' = none),
--       3 session ID, 4 sequence, 5 creation date (score),
--       6 TTL's end in ms ('' = none), 7 card, 8 its score, 9 card that it replaces ('' = none),
--       10 how many lists get the entry, 11 note of entries added in other shards ('' = none),
--       12 note of entries to remove there ('' = none), 13 now (µs),
--       14 how many sessions may be stored (0 = no limit),
--       15 how many other sessions the list of the session's user, which is
--       key 6 then, must be short of (0 = no limit),
--       16 whether there is an end (1), 17 the mark that the question must have
--       ('' = no question), 18... fields and values
-- Returns ok; done: this very write has happened before; conflict: another
-- version is stored; deleted: a tombstone forbids it; ended: an end does; unswept: entries of an
-- expired session with this ID remain; late: the note has been condemned; full:
-- no further session may be stored; userlimit: the user may have no further one.
local call, may = redis.call, redis.acl_check_cmd or function() return true end -- which a look-alike may lack
local stored = call('HGET', KEYS[1], 'v') or ''
if stored == ARGV[1] then
  return 'done'
end
if stored ~= ARGV[2] then
  return 'conflict'
end
local keys = #KEYS
if ARGV[17] ~= '' then
  if call('GET', KEYS[keys]) ~= ARGV[17] then
    return 'conflict'
  end
  keys = keys - 1
end
if ARGV[16] == '1' then
  if call('EXISTS', KEYS[keys]) == 1 then
    return 'ended'
  end
  keys = keys - 1
end
local tombstone = call('GET', KEYS[2])
if tombstone then
  -- Sequences have up to 20 digits, more than a Lua number holds.
  local last = string.match(tombstone, '^%d+')
  if #ARGV[4] < #last or (#ARGV[4] == #last and ARGV[4] <= last) then
    return 'deleted'
  end
end
if stored == '' then
  if call('ZSCORE', KEYS[3], ARGV[3]) then
    return 'unswept'
  end
  if ARGV[14] ~= '0' and call('ZCARD', KEYS[3]) >= tonumber(ARGV[14]) then
    return 'full'
  end
end
if ARGV[11] ~= '' and not call('ZSCORE', KEYS[5], ARGV[11]) then
  return 'late'
end
if ARGV[15] ~= '0' then
  local others = call('ZCARD', KEYS[6])
  if others >= tonumber(ARGV[15]) and call('ZSCORE', KEYS[6], ARGV[3]) then
    others = others - 1
  end
  if others >= tonumber(ARGV[15]) then
    return 'userlimit'
  end
end

-- Redis asks its ACL at each call, and undoes nothing: a right that is missing in
-- the middle would leave half a session. So the rights of all but the first write
-- are asked for before it, with any key: EVALSHA has asked for all of them. (I5)
local gets = 5 + tonumber(ARGV[10])
local ttl = ARGV[6] == '' and 'PERSIST' or 'PEXPIREAT'
local removes = ARGV[2] ~= '' or ARGV[11] ~= '' or keys > gets
local marked = ARGV[17] ~= ''
local missing = not may('ZADD', KEYS[1]) and 'ZADD' or not may(ttl, KEYS[1]) and ttl
  or removes and not may('ZREM', KEYS[1]) and 'ZREM' or marked and not may('DEL', KEYS[#KEYS]) and 'DEL'
if missing then
  return redis.error_reply('NOPERM put.lua may not use ' .. missing)
end

call('HSET', KEYS[1], unpack(ARGV, 18))
if marked then
  call('DEL', KEYS[#KEYS]) -- questions share it: the answer to no other one is stored now
end
if ARGV[6] == '' then
  call('PERSIST', KEYS[1])
else
  call('PEXPIREAT', KEYS[1], ARGV[6])
end
call('ZADD', KEYS[4], ARGV[8], ARGV[7])
call('ZADD', KEYS[3], ARGV[5], ARGV[3])
for i = 6, gets do
  call('ZADD', KEYS[i], ARGV[5], ARGV[3])
end
for i = gets + 1, keys do
  call('ZREM', KEYS[i], ARGV[3])
end
if ARGV[9] ~= '' and ARGV[9] ~= ARGV[7] then
  call('ZREM', KEYS[4], ARGV[9])
end
if ARGV[12] ~= '' then
  call('ZADD', KEYS[5], ARGV[13], ARGV[12])
end
if ARGV[11] ~= '' then
  call('ZREM', KEYS[5], ARGV[11])
end
return 'ok'
