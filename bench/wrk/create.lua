-- CreateSession for a random user, on a device of its own. The users are not
-- those of the searches, whose five sessions stay five.
dofile("bench/wrk/common.lua")
function request()
  local n = math.random(0, users - 1)
  return wrk.format("POST", "/v2/sessions", headers,
    '{"checks":{"user":{"userId":"9184808' .. string.format("%011d", n) .. '"}},"userAgent":{"fingerprintId":"' ..
    string.format("%032x", n) .. '","ip":"203.0.113.7","description":"Chrome 132, Windows"},"lifetime":"3600s"}')
end
