-- repair: mends what belongs to a session in its own shard, if the session is
-- stored in the version that the caller has looked at, or still is not stored.
--
-- KEYS: 1 session, 2... lists of this shard, one for each entry
-- ARGV: 1 version ('' = none is stored), 2 TTL's end in ms ('' = PERSIST,
--       '-' = it stays), 3... an entry and its score for each list, '' removes
--       the entry; what is removed should come first, as it frees memory
-- Returns 1 if it did, 0 if the session has changed.
if (redis.call('HGET', KEYS[1], 'v') or '') ~= ARGV[1] then
  return 0
end
if ARGV[1] == '' and redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
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
