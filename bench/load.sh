#!/usr/bin/env bash
# A short, complete demonstration of the load harness (make load): builds, starts
# Cloakroom twice on one Redis, stores SESSIONS sessions, runs every kind of
# load for SECONDS_EACH, and writes the results to bench/results/.
# Load, programs and Redis share this machine. Wants redis-server and curl, and
# nginx for logout through it.
#   SESSIONS=1000000 SECONDS_EACH=5 PAIRS=9 bench/load.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
sessions=${SESSIONS:-100000} seconds=${SECONDS_EACH:-3} pairs=${PAIRS:-3} port=${PORT:-18080}
out=${OUT:-bench/results/$(date -u +%F)-load}
for tool in redis-server curl; do command -v "$tool" >/dev/null || { echo "load.sh: $tool is not on PATH (make redis)" >&2; exit 1; }; done

dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$dir"' EXIT
make -s build
go build -o "$dir/bench" ./bench
bin/cloakroom key new --name bench --user-id bench --permission session.read --permission session.write --permission session.delete \
	--file "$dir/keys.yaml" >"$dir/key" 2>/dev/null
export CLOAKROOM_BENCH_KEY
CLOAKROOM_BENCH_KEY=$(cat "$dir/key")

# serve NAME PORT REDIS-URL: starts a Cloakroom, and waits until it is ready.
serve() {
	bin/cloakroom serve --http-addr "127.0.0.1:$2" --admin-addr "127.0.0.1:$(($2 + 1))" --redis-url "$3" \
		--auth-keys-file "$dir/keys.yaml" --log-format text 2>"$dir/$1.log" &
	until curl -sf -o /dev/null "http://127.0.0.1:$(($2 + 1))/readyz"; do
		kill -0 $! 2>/dev/null || { cat "$dir/$1.log" >&2; exit 1; }
		sleep 0.1
	done
}
redis=redis://127.0.0.1:$((port + 9)) here=http://127.0.0.1:$port there=http://127.0.0.1:$((port + 2))
redis-server --bind 127.0.0.1 --port $((port + 9)) --save '' --dir "$dir" --logfile "$dir/redis.log" &
until redis-cli -p $((port + 9)) ping >/dev/null 2>&1; do
	kill -0 $! 2>/dev/null || { cat "$dir/redis.log" >&2; exit 1; }
	sleep 0.1
done
serve here "$port" "$redis"
serve there $((port + 2)) "$redis"

bench() { "$dir/bench" "$@"; }
section() { printf '\n## %s\n\n' "$1"; }
common=(--sessions "$sessions" --seconds "$seconds" --admin "http://127.0.0.1:$((port + 1))" --redis "$redis")

section "seed"
bench seed --target "$here" --count "$sessions"
for scenario in cold-start get-hot verify-steady search-user search-mixed search-admin create login-storm; do
	section "$scenario"
	bench run --target "$here" --scenario "$scenario" "${common[@]}" --out "$out-$scenario" || true # an invalid run says so
done
section "search-user, open loop"
bench run --target "$here" --scenario search-user --rate 2000 "${common[@]}" --out "$out-search-user-open" || true
section "logout"
bench run --target "$here" --other "$there" --scenario logout "${common[@]}" --out "$out-logout"
section "logout beside 2000 searches/s"
bench run --target "$here" --other "$there" --scenario logout --rate 2000 "${common[@]}" --out "$out-logout-busy" || true
section "logout-nginx"
if command -v nginx >/dev/null; then
	"$dir/bench" redis-proxy --listen "127.0.0.1:$((port + 6))" --control "127.0.0.1:$((port + 7))" --redis "$redis" >/dev/null &
	until redis-cli -p $((port + 6)) ping >/dev/null 2>&1; do sleep 0.1; done
	serve proxied $((port + 4)) "redis://127.0.0.1:$((port + 6))"
	nginx=(--other "http://127.0.0.1:$((port + 4))" --other-admin "http://127.0.0.1:$((port + 5))" --scenario logout-nginx)
	bench run --target "$here" "${nginx[@]}" "${common[@]}" --out "$out-logout-nginx"
	section "logout-nginx, invalidations silenced"
	bench run --target "$here" "${nginx[@]}" --redis-proxy "http://127.0.0.1:$((port + 7))" "${common[@]}" --seconds 10 --out "$out-logout-nginx-silent"
else
	echo "(not measured: nginx is not on PATH)"
fi
section "expiry-cliff"
bench run --target "$here" --scenario expiry-cliff --workers 4 "${common[@]}" --seconds 5 --out "$out-expiry-cliff"
section "get-hot against the baseline"
bench pairs --a "$here" --b baseline --scenario get-hot --pairs "$pairs" "${common[@]}" --out "$out-get-baseline" || true
section "verify-steady against the baseline"
bench pairs --a "$here" --b baseline --scenario verify-steady --pairs "$pairs" "${common[@]}" --out "$out-verify-baseline" || true
section "search-user against one script call a search"
bench pairs --a "$here" --b evalsha --scenario search-user --pairs "$pairs" "${common[@]}" --out "$out-search-evalsha" || true
section "the highest rate of get-hot"
bench max --target "$here" --scenario get-hot --slo 'p99<10ms,err<0.01%' --factor 2 --precision 0.2 "${common[@]}" --seconds 1 --out "$out-get-max"
