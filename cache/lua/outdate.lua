#!lua flags=allow-oom
-- outdate: says that what is known of a session may be old: the stored version
-- counts as checked never, and no answer of the system of record to a question
-- that was sent before is stored. A replica refuses it before it begins.
--
-- KEYS: 1 session, 2 question
-- ARGV: 1 new version
-- Returns ok.
-- Also if the session is stored: a question may have found nothing before it was, and be under way still.
redis.call('DEL', KEYS[2])
local doc = redis.call('HGET', KEYS[1], 'doc')
if not doc then
  return 'ok'
end
local format = string.byte(doc)
if math.floor(format / 16) % 2 == 1 then -- cache/stored.go: a checked one, of any format
  doc = string.sub(doc, 1, 1) .. string.rep('\0', 8) .. string.sub(doc, 10)
end
redis.call('HSET', KEYS[1], 'doc', doc, 'v', ARGV[1])
return 'ok'
