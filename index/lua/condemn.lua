#!lua flags=allow-oom
-- condemn: ends a write that lost, or never came to its end: from then on its
-- script is refused, and its entries in other shards may be removed. If a stored
-- version has the write's tag, the write was done after all, and they stay.
--
-- KEYS: 1 pending, 2 session
-- ARGV: 1 now (µs), 2 note of the write, 3 note of its entries, 4 its tag
-- Returns 1 if the entries are to be removed, 0 if they stay.
local may = redis.acl_check_cmd or function() return true end
local stays = redis.call('HGET', KEYS[2], 'tag') == ARGV[4]
if not stays and not may('ZADD', KEYS[1]) then
  return redis.error_reply('NOPERM condemn.lua may not use ZADD') -- without a note nobody would remove the entries
end
redis.call('ZREM', KEYS[1], ARGV[2])
if stays then
  return 0
end
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[3])
return 1
