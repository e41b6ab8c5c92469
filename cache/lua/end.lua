#!lua flags=allow-oom
-- end: notes that logins have ended. What is noted already stays: the later
-- instants count, so that it may be repeated, and in any order. It runs on a full
-- Redis, and a replica refuses it before it begins.
--
-- KEYS: 1 end
-- ARGV: 1 instant up to which they have ended (µs), 2 until when it is kept (µs),
--       3 the same (ms, rounded up)
-- Returns ok.
local function later(a, b) -- they have more digits than a Lua number holds
  if #a ~= #b then
    return #a > #b
  end
  return a > b
end
local notAfter, untilWhen, expires = ARGV[1], ARGV[2], ARGV[3]
local noted = redis.call('GET', KEYS[1])
if noted then
  local a, u = string.match(noted, '^(%d+) (%d+)$')
  if a and later(a, notAfter) then
    notAfter = a
  end
  if u and later(u, untilWhen) then
    untilWhen = u
    expires = string.format('%.0f', math.ceil(tonumber(u) / 1000))
  end
end
redis.call('SET', KEYS[1], notAfter .. ' ' .. untilWhen, 'PXAT', expires)
return 'ok'
