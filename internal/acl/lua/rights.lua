#!lua flags=no-writes,allow-stale
-- rights: asks which commands the user who runs it may not use. None is run, and
-- nothing is read or written: what is called at the end is what Redis refuses, and
-- only for its reason, as redis.acl_check_cmd has none.
--
-- ARGV: commands, each as the number of its words and then these
-- Returns, for each that is refused, its number from 0 and Redis' words, ''
-- for a command that Redis does not know; -1 if the server cannot tell.
if not redis.acl_check_cmd then
  return {-1, ''}
end
local refused, at, number = {}, 1, 0
while at <= #ARGV do
  local last = at + tonumber(ARGV[at])
  local known, may = pcall(redis.acl_check_cmd, unpack(ARGV, at + 1, last))
  if not known or not may then
    refused[#refused + 1] = number
    refused[#refused + 1] = known and redis.pcall(unpack(ARGV, at + 1, last)).err or ''
  end
  at, number = last + 1, number + 1
end
return refused
