#!/usr/bin/env bash
# Measures what docs/benchmarks.md shows, each figure as alternating pairs in one
# run, everything on this machine: about half an hour. Wants redis-server, redis-cli and curl,
# and nginx for logout through it.
#   bench/table.sh [DIR]     results go to DIR, default bench/results/DATE
# PAIRS, SECONDS_EACH and SESSIONS make it shorter.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=${1:-bench/results/$(date -u +%F)}
pairs=${PAIRS:-9} seconds=${SECONDS_EACH:-5} sessions=${SESSIONS:-100000} many=${MANY:-1000000}
for tool in redis-server redis-cli curl; do command -v "$tool" >/dev/null || { echo "table.sh: $tool is not on PATH" >&2; exit 1; }; done
mkdir -p "$out"
dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$dir"' EXIT
make -s build
go build -o "$dir/bench" ./bench
bin/cloakroom key new --name bench --user-id bench --permission session.read --permission session.write --permission session.delete \
	--file "$dir/keys.yaml" >"$dir/key" 2>/dev/null

redis() { # PORT
	redis-server --port "$1" --bind 127.0.0.1 --save '' --appendonly no --hash-max-listpack-value 4096 --dir "$dir" --logfile '' >/dev/null &
	until redis-cli -p "$1" ping >/dev/null 2>&1; do sleep 0.1; done
}
# serve PORT REDISPORT FLAGS: the API at PORT, the admin listener at PORT+1000.
serve() {
	local port=$1 redis=$2
	shift 2
	bin/cloakroom serve --http-addr "127.0.0.1:$port" --admin-addr "127.0.0.1:$((port + 1000))" --redis-url "redis://127.0.0.1:$redis" \
		--auth-keys-file "$dir/keys.yaml" --log-level warn "$@" &
	until curl -sf -o /dev/null "http://127.0.0.1:$((port + 1000))/readyz"; do sleep 0.01; done
}
# redis_proxy PORT CONTROLPORT REDISPORT: Redis at PORT, whose invalidations can be silenced.
redis_proxy() {
	"$dir/bench" redis-proxy --listen "127.0.0.1:$1" --control "127.0.0.1:$2" --redis "redis://127.0.0.1:$3" >/dev/null &
	until redis-cli -p "$1" ping >/dev/null 2>&1; do sleep 0.1; done
}
bench() { "$dir/bench" "$@" --key-file "$dir/key" 2>/dev/null; }
measure() { bench run "$@" || echo "(not valid)"; }
row() { # NAME TITLE FLAGS of pairs
	local name=$1 title=$2
	shift 2
	printf '\n## %s\n\n' "$title"
	bench pairs --pairs "$pairs" --seconds "$seconds" --sessions "$sessions" --out "$out/$name" "$@" || echo "(not valid)"
	rm -f "$out/$name"-*.hgrm # one for each of the runs; the JSON has them
}
max() { # NAME FLAGS: the highest rate
	local name=$1
	shift
	bench max --scenario search-user --sessions "$sessions" --slo "${SLO:-p99<20ms,err<0.01%}" --rate 8000 --seconds 2 --out "$out/$name" "$@" | tee "$dir/max" >&2
	rm -f "$out/$name"-*.hgrm
	sed -n 's|^The highest rate.*\*\*\([0-9]*\) requests.*|\1|p' "$dir/max"
}

near=http://127.0.0.1:18080 off=http://127.0.0.1:18081 other=http://127.0.0.1:18082
redis 17801
begin=$(date +%s%N)
serve 18080 17801
ready=$((($(date +%s%N) - begin) / 1000000))
sleep 2
resident=$(awk '/VmRSS/ {print $2}' "/proc/$!/status")
serve 18081 17801 --near-cache-bytes 0
bench seed --target "$near" --count "$sessions" >&2

cat <<HEAD
# The table, $(date -u +%F)

Commit $(git describe --always --dirty), $(go version | cut -d' ' -f3), Linux $(uname -r), $(nproc) cores ($(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)), Redis $(redis-server --version | sed 's/.*v=\([^ ]*\).*/\1/').
Command: \`PAIRS=$pairs SECONDS_EACH=$seconds SESSIONS=$sessions MANY=$many bench/table.sh\`. Load, program and Redis share the cores. P = 1, callers with an API key, 64 connections.

- start of the process until ready, Redis running: $ready ms
- resident memory, near cache empty, idle: $resident kB
HEAD

row get 'Get, near-cache hit, against the baseline' --a "$near" --b baseline --scenario get-hot --at-least 0.9
row search 'Search by user AND creation date, five sessions, near-cache hit, against the baseline' --a "$near" --b baseline --scenario search-user --at-least 0.8
row evalsha 'Search by user, near cache off, against one script call a search' --a "$off" --b evalsha --redis redis://127.0.0.1:17801 --scenario search-user --at-least 1.5
row search-buffer 'The same, against a baseline with a write buffer of 8 KiB' --a "$near" --b baseline --scenario search-user --write-buffer 8192 --at-least 0.85
row verify 'Verify, near-cache hit, against the baseline' --a "$near" --b baseline --scenario verify-steady --at-least 0.9
row verify-buffer 'The same, against a baseline with a write buffer of 8 KiB' --a "$near" --b baseline --scenario verify-steady --write-buffer 8192
rate=$(max max-near --target "$near")
row open-near "Open loop at half of max ($((rate / 2)) requests/s): near cache on, against the baseline" --a "$near" --b baseline --scenario search-user --rate "$((rate / 2))" --p99-at-most 2
offrate=$(max max-off --target "$off")
row open-off "Open loop at half of max ($((offrate / 2)) requests/s): near cache off, against the baseline" --a "$off" --b baseline --scenario search-user --rate "$((offrate / 2))" --p99-at-most 4
row raw "Redis' CPU for a search, near cache off, against ZREVRANGE and five HGET sent raw and pipelined (redis_cpu_us_per_request)" --a "$off" --b raw --redis redis://127.0.0.1:17801 --scenario search-user
row create 'CreateSession against Get, near cache off' --a "$off" --b "$off" --a-scenario create --b-scenario get-hot --at-least 0.4

serve 18082 17801
printf '\n## Delete in one process until refusal in another\n\n```\n'
measure --target "$near" --other "$other" --scenario logout --sessions "$sessions" --seconds 20 --out "$out/logout-idle"
measure --target "$near" --other "$other" --scenario logout --sessions "$sessions" --seconds 20 --rate "$((rate / 2))" --out "$out/logout-load"
printf '```\n'

printf '\n## Logout through nginx: delete in one process until nginx, which asks another, refuses\n\n```\n'
if command -v nginx >/dev/null; then
	nginx=(--target "$near" --scenario logout-nginx --sessions "$sessions")
	serve 18085 17801 --verify-addr 127.0.0.1:18086
	measure "${nginx[@]}" --other http://127.0.0.1:18086 --other-admin http://127.0.0.1:19085 --seconds 20 --out "$out/logout-nginx"
	redis_proxy 17809 17810 17801
	serve 18087 17809 --verify-addr 127.0.0.1:18088
	printf '\nThe connection for invalidations silenced before each delete:\n\n'
	measure "${nginx[@]}" --other http://127.0.0.1:18088 --other-admin http://127.0.0.1:19087 --redis-proxy http://127.0.0.1:17810 --seconds 60 --out "$out/logout-nginx-silent"
	rm -f "$out"/logout-nginx*.hgrm
else
	echo "(not measured: nginx is not on PATH)"
fi
printf '```\n'

redis 17802
redis 17803
serve 18083 17802 --near-cache-bytes 0
serve 18084 17803 --near-cache-bytes 0
before=$(redis-cli -p 17802 info memory | sed -n 's/^used_memory:\([0-9]*\).*/\1/p')
bench seed --target http://127.0.0.1:18083 --count "$many" >&2
after=$(redis-cli -p 17802 info memory | sed -n 's/^used_memory:\([0-9]*\).*/\1/p')
printf '\n%s imported sessions take %s bytes of Redis memory each.\n' "$many" "$(((after - before) / many))"
bench seed --target http://127.0.0.1:18084 --count 10000 >&2
row large "Search by user, near cache off, at $many sessions against 10,000" --a http://127.0.0.1:18083 --b http://127.0.0.1:18084 --a-sessions "$many" --b-sessions 10000 --scenario search-user --at-least 0.85
row deep "Creation-range page of 100 at offset 100,000 against offset 0, at $many sessions" --a http://127.0.0.1:18083 --b http://127.0.0.1:18083 --a-offset 100000 --b-offset 0 --sessions "$many" --scenario search-admin --connections 16 --at-least 0.7
