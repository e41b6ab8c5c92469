#!/usr/bin/env bash
# Measures what other processes at one Redis cost the callers of one: Gets and creates at a steady rate, through two processes
# alone and beside FLEET (98) idle ones, by turns, in both ways of tracking. Everything on this machine; 98 processes take 2 GB.
# Wants redis-server, redis-cli and curl.
#   bench/fleet.sh     prints a line for each run
# ROUNDS, SECONDS_EACH, GETS and CREATES (a second) change it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
fleet=${FLEET:-98} rounds=${ROUNDS:-3} seconds=${SECONDS_EACH:-10} gets=${GETS:-2000} creates=${CREATES:-500}
for tool in redis-server redis-cli curl; do command -v "$tool" >/dev/null || { echo "fleet.sh: $tool is not on PATH" >&2; exit 1; }; done
dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$dir"' EXIT
make -s build
go build -o "$dir/bench" ./bench
bin/cloakroom key new --name bench --user-id bench --permission session.read --permission session.write --permission session.delete \
	--file "$dir/keys.yaml" >"$dir/key" 2>/dev/null
redis=redis://127.0.0.1:17831
redis-server --port 17831 --bind 127.0.0.1 --save '' --appendonly no --hash-max-listpack-value 4096 --dir "$dir" --logfile '' >/dev/null &
until redis-cli -p 17831 ping >/dev/null 2>&1; do sleep 0.1; done
# serve NUMBER: a process whose API is at 21000+NUMBER, and its admin listener at 22000+NUMBER.
serve() {
	bin/cloakroom serve --http-addr "127.0.0.1:$((21000 + $1))" --admin-addr "127.0.0.1:$((22000 + $1))" --redis-url "$redis" \
		--auth-keys-file "$dir/keys.yaml" --log-level error --near-cache-tracking "$mode" &
}
ready() { until curl -sf -o /dev/null "http://127.0.0.1:$((22000 + $1))/readyz"; do sleep 0.05; done; }
run() { "$dir/bench" run --sessions 20000 --key-file "$dir/key" "$@" 2>&1 || true; }
latency() { sed -n 's/^ *latency *//p' "$1"; }
measure() { # WHAT
	run --target http://127.0.0.1:21001 --scenario create --rate "$creates" --connections 16 --seconds "$((seconds + 2))" >"$dir/creates" &
	local other=$!
	run --target http://127.0.0.1:21000 --scenario get-hot --rate "$gets" --connections 32 --seconds "$seconds" >"$dir/gets"
	wait "$other"
	echo "$mode, $1: Gets $(latency "$dir/gets"); creates $(latency "$dir/creates")"
}
seeded=
for mode in broadcast keys; do
	for ((round = 0; round < rounds; round++)); do
		pids=()
		for i in 0 1; do serve "$i"; pids+=($!); done
		ready 0
		ready 1
		[[ -n $seeded ]] || "$dir/bench" seed --target http://127.0.0.1:21000 --count 20000 --key-file "$dir/key" >/dev/null 2>&1
		seeded=yes
		measure alone
		for ((i = 2; i < fleet + 2; i++)); do serve "$i"; pids+=($!); done
		for ((i = 2; i < fleet + 2; i++)); do ready "$i"; done
		sleep 2
		measure "beside $fleet"
		kill "${pids[@]}"
		wait "${pids[@]}" || true
	done
done
