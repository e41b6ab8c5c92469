-- Requests to verify with tokens and ID:TOKEN pairs that nobody has made, each another one, from 200 addresses of one network.
local letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

local function part(length)
  local text = {}
  for i = 1, length do
    local at = math.random(#letters)
    text[i] = letters:sub(at, at)
  end
  return table.concat(text)
end

local n, beginning = 0, ""

function init()
  math.randomseed(os.time())
  beginning = part(100) .. "." .. part(40) .. "." .. part(16) .. "." .. part(90) .. "."
end

function request()
  n = n + 1
  local credential = beginning .. part(22)
  if n % 2 == 0 then
    credential = 400000000000000000 + math.random(1000000) .. ":" .. credential
  end
  return wrk.format("GET", "/verify", { ["Authorization"] = "Bearer " .. credential, ["X-Forwarded-For"] = "203.0.113." .. 1 + n % 200 })
end
