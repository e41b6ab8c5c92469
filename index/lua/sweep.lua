#!lua flags=allow-oom
-- sweep: removes a session that has ended, or that Redis has dropped, with its
-- entries in this shard. It looks at the score again, since the session may
-- have been put again after its card was read.
--
-- KEYS: 1 session, 2 created, 3 catalogue, 4 pending, 5... other lists of this shard
-- ARGV: 1 now (µs), 2 session ID, 3 card,
--       4 note of the entries in other shards, '' if there are none
-- Returns 1 if it removed the card, 0 if there was nothing to do.
local score = redis.call('ZSCORE', KEYS[3], ARGV[3])
if not score then
  return 0
end
local due = (tonumber(score) or math.huge) <= tonumber(ARGV[1])
if not due and redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
-- Nothing is begun that cannot be ended: entries without a card are found by
-- nobody but an audit. (I5)
local may = redis.acl_check_cmd or function() return true end
local missing = not may('ZREM', KEYS[3]) and 'ZREM' or ARGV[4] ~= '' and not may('ZADD', KEYS[4]) and 'ZADD'
if missing then
  return redis.error_reply('NOPERM sweep.lua may not use ' .. missing)
end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('ZREM', KEYS[3], ARGV[3])
for i = 5, #KEYS do
  redis.call('ZREM', KEYS[i], ARGV[2])
end
if ARGV[4] ~= '' then
  redis.call('ZADD', KEYS[4], ARGV[1], ARGV[4])
end
return 1
