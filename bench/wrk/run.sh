#!/usr/bin/env bash
# Measures Get, search by user and create with wrk, closed loop, each beside a
# bare fasthttp handler that returns as many bytes, alternating, in one run.
# Wants wrk, redis-server and curl. Everything runs on this machine.
#   bench/wrk/run.sh > bench/results/DATE-wrk.md
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
rounds=${ROUNDS:-5} seconds=${SECONDS_EACH:-5} connections=${CONNECTIONS:-64} sessions=${SESSIONS:-100000}
for tool in wrk redis-server curl; do command -v "$tool" >/dev/null || { echo "run.sh: $tool is not on PATH" >&2; exit 1; }; done

dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$dir"' EXIT
make -s build
go build -o "$dir/bench" ./bench
KEY=$(bin/cloakroom key new --name bench --user-id bench --permission session.read --permission session.write --permission session.delete --file "$dir/keys.yaml" 2>/dev/null)
export KEY USERS=$((sessions / 5)) SINCE=2020-01-01T00:00:00Z
url=http://127.0.0.1:18080

bin/cloakroom serve --http-addr 127.0.0.1:18080 --admin-addr 127.0.0.1:18090 --redis-url embedded: --auth-keys-file "$dir/keys.yaml" --log-format text 2>"$dir/log" &
until curl -sf -o /dev/null http://127.0.0.1:18090/readyz; do kill -0 $! || { cat "$dir/log" >&2; exit 1; }; sleep 0.1; done
"$dir/bench" sessions --count "$sessions" >"$dir/sessions"
imported=$(curl -sf -X POST "$url/v2/sessions/import" -H "Authorization: Bearer $KEY" -T "$dir/sessions" -w ' in %{time_total} s')

measure() { wrk -t1 -c"$connections" -d"${seconds}s" -s "bench/wrk/$1.lua" "$2" | sed -n 's/^RESULT //p'; }

cat <<HEAD
# wrk, $(date -u +%F)

Commit $(git describe --always --dirty), $(go version | cut -d' ' -f3), Linux $(uname -r), $(nproc) cores ($(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)), $(redis-server --version | cut -d' ' -f3).
Command: \`ROUNDS=$rounds SECONDS_EACH=$seconds CONNECTIONS=$connections SESSIONS=$sessions bench/wrk/run.sh\`. Closed loop; load, server and Redis share the cores. No near cache, P = 1.
Import of $sessions sessions: $imported

| round | what | requests/s | p50 ms | p99 ms | bytes | errors | baseline requests/s | ratio |
|---|---|---|---|---|---|---|---|---|
HEAD
for round in $(seq "$rounds"); do
	for what in get search create; do
		read -r rate p50 p99 bytes bad < <(measure "$what" "$url")
		# 109: what the baseline's headers take
		"$dir/bench" baseline --addr 127.0.0.1:18081 --bytes "$((bytes - 109))" >/dev/null 2>&1 &
		baseline=$!
		until curl -s -o /dev/null http://127.0.0.1:18081/; do sleep 0.05; done
		read -r base _ _ basebytes _ < <(measure baseline http://127.0.0.1:18081)
		kill "$baseline"; wait "$baseline" || true
		echo "| $round | $what | $rate | $p50 | $p99 | $bytes (baseline $basebytes) | $bad | $base | $(awk "BEGIN{printf \"%.2f\", $rate/$base}") |"
	done
done
