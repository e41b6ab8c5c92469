-- What the wrk scripts share: USERS, KEY and SINCE come from the environment.
users = tonumber(os.getenv("USERS"))
headers = { ["Authorization"] = "Bearer " .. os.getenv("KEY"), ["Content-Type"] = "application/json" }

local seed = 1
function setup(thread)
  thread:set("seed", seed)
  seed = seed + 1
end

function init()
  math.randomseed(seed)
end

-- done counts what was not answered with success: a figure with errors is none.
function done(summary, latency)
  local bad = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format("RESULT %.0f %.3f %.3f %d %d\n", summary.requests / summary.duration * 1e6,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, summary.bytes / summary.requests, bad))
end
