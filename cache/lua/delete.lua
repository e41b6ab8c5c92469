#!lua flags=allow-oom
-- delete: removes the version of a session that the caller read, with its
-- entries in this shard, and leaves a tombstone. It runs on a full Redis, and a
-- replica refuses it before it begins: one that lacks the session must not say so.
--
-- KEYS: 1 session, 2 tombstone, 3 created, 4 catalogue, 5 pending,
--       6... other lists of this shard, and at last, where there is one, the end
-- ARGV: 1 version that the caller read ('' = none), 2 session ID, 3 card,
--       4 tombstone ('' = none), 5 its TTL (ms), 6 now (µs),
--       7 note of entries to remove in other shards ('' = none),
--       8 end ('' = none), 9 until when it is kept (ms)
-- Returns ok; done: this very delete has happened before; conflict: another
-- version is stored; gone: none is.
local ends = ARGV[8] ~= ''
-- leaveEnd leaves the end, unless one is there that is kept for longer.
local function leaveEnd()
  local noted = redis.call('GET', KEYS[#KEYS])
  local never, this = string.match(ARGV[8], '^(%d+) (%d+)$')
  local last, kept = string.match(noted or '', '^(%d+) (%d+)$')
  if last ~= never or #kept < #this or #kept == #this and kept < this then
    redis.call('SET', KEYS[#KEYS], ARGV[8], 'PXAT', ARGV[9])
  end
end
local tombstone = redis.call('GET', KEYS[2])
if tombstone == ARGV[4] then
  return 'done'
end
local stored = redis.call('HGET', KEYS[1], 'v') or ''
if stored ~= ARGV[1] then
  return stored == '' and 'gone' or 'conflict'
end
if stored == '' then
  -- Nothing is there: only the tombstone is left, unless there is a higher one.
  local last = tombstone and string.match(tombstone, '^%d+') or ''
  local this = string.match(ARGV[4], '^%d+')
  if #last < #this or (#last == #this and last < this) then
    redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[5])
  end
  if ends then
    leaveEnd()
  end
  return 'ok'
end
-- As in put.lua: half a deletion is none. (I5)
local may = redis.acl_check_cmd or function() return true end
local missing = not may('SET', KEYS[2]) and 'SET' or not may('ZREM', KEYS[4]) and 'ZREM'
  or ARGV[7] ~= '' and not may('ZADD', KEYS[5]) and 'ZADD' or ends and not may('SET', KEYS[#KEYS]) and 'SET'
if missing then
  return redis.error_reply('NOPERM delete.lua may not use ' .. missing)
end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[3], ARGV[2])
redis.call('ZREM', KEYS[4], ARGV[3])
for i = 6, ends and #KEYS - 1 or #KEYS do
  redis.call('ZREM', KEYS[i], ARGV[2])
end
if ARGV[4] ~= '' then
  redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[5])
end
if ends then
  leaveEnd()
end
if ARGV[7] ~= '' then
  redis.call('ZADD', KEYS[5], ARGV[6], ARGV[7])
end
return 'ok'
