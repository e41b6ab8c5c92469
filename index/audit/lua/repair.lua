#!lua flags=allow-oom
-- repair: mends what belongs to a session in its own shard, if the session is
-- stored in the version that the caller has looked at, or still is not stored.
--
-- KEYS: 1 session, 2... lists of this shard, one for each entry
-- ARGV: 1 version ('' = none is stored), 2 TTL's end in ms ('' = PERSIST,
--       '-' = it stays), 3... an entry and its score for each list, '' removes
--       the entry
-- Returns 1 if it did, 0 if the session has changed.
if (redis.call('HGET', KEYS[1], 'v') or '') ~= ARGV[1] then
  return 0
end
if ARGV[1] == '' and redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
-- Half a repair could be worse than none.
local may, needs = redis.acl_check_cmd or function() return true end, {}
for i = 2, #KEYS do
  needs[ARGV[2 * i] == '' and 'ZREM' or 'ZADD'] = KEYS[i]
end
if ARGV[2] ~= '-' then
  needs[ARGV[2] == '' and 'PERSIST' or 'PEXPIREAT'] = KEYS[1]
end
for command, key in pairs(needs) do
  if not may(command, key) then
    return redis.error_reply('NOPERM repair.lua may not use ' .. command)
  end
end
for i = 2, #KEYS do
  local entry, score = ARGV[2 * i - 1], ARGV[2 * i]
  if score == '' then
    redis.call('ZREM', KEYS[i], entry)
  else
    redis.call('ZADD', KEYS[i], score, entry)
  end
end
if ARGV[2] == '' then
  redis.call('PERSIST', KEYS[1])
elseif ARGV[2] ~= '-' then
  redis.call('PEXPIREAT', KEYS[1], ARGV[2])
end
return 1
