-- Anything: the baseline answers every request with the same bytes.
dofile("bench/wrk/common.lua")
function request()
  return wrk.format("GET", "/", headers)
end
