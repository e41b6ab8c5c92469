-- GetSession of a random session.
dofile("bench/wrk/common.lua")
function request()
  return wrk.format("GET", "/v2/sessions/18826" .. string.format("%014d", math.random(0, users * 5 - 1)), headers)
end
