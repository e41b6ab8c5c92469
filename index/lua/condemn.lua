-- condemn: turns the note of a write that lost, or never came to its end, into
-- the note of entries to remove. From then on that write's script is refused, so its
-- entries in other shards can be removed safely.
--
-- KEYS: 1 pending
-- ARGV: 1 now (µs), 2 note of the write, 3 note of its entries
-- Returns 1 if the write was condemned, 0 if it has ended meanwhile.
if redis.call('ZREM', KEYS[1], ARGV[2]) == 0 then
  return 0
end
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[3])
return 1
