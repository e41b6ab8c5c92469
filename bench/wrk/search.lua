-- ListSessions by user AND creation date: five sessions of a random user.
dofile("bench/wrk/common.lua")
local since = os.getenv("SINCE")
function request()
  return wrk.format("POST", "/v2/sessions/search", headers,
    '{"queries":[{"userIdQuery":{"id":"2184808' .. string.format("%011d", math.random(0, users - 1)) ..
    '"}},{"creationDateQuery":{"creationDate":"' .. since .. '","method":"TIMESTAMP_QUERY_METHOD_GREATER"}}],"sortingColumn":"SESSION_FIELD_NAME_CREATION_DATE"}')
end
