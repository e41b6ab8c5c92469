#!lua
-- admit: adds the entry of a write across shards to the list of its user, unless
-- so many other sessions are in it that the user may have no further one.
--
-- KEYS: 1 list of the user
-- ARGV: 1 how many sessions the user may have, 2 creation date (score), 3 entry,
--       4... pairs of entries of one session: while both are there, one of them
--       does not count; an entry that is twice in its pair is one of the session
--       that is being written
-- Returns ok, also if the entry is there already; userlimit: it was not added.
if redis.call('ZSCORE', KEYS[1], ARGV[3]) then
  return 'ok'
end
local others = redis.call('ZCARD', KEYS[1])
for i = 4, #ARGV, 2 do
  if redis.call('ZSCORE', KEYS[1], ARGV[i]) and redis.call('ZSCORE', KEYS[1], ARGV[i + 1]) then
    others = others - 1
  end
end
if others >= tonumber(ARGV[1]) then
  return 'userlimit'
end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[3])
return 'ok'
