#!/usr/bin/env bash
# Measures two builds of the program against each other, as alternating pairs in one run, everything on this machine:
# Get, verify, search and create, with the near cache and without. Wants redis-server, redis-cli and curl.
#   bench/against.sh A B [DIR]     programs; results go to DIR, default bench/results/DATE-against
# A ratio is A's requests/s by B's. PAIRS, SECONDS_EACH and SESSIONS make it shorter; ROWS names some of the rows only.
set -euo pipefail
a=$(realpath "$1") b=$(realpath "$2")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=${3:-bench/results/$(date -u +%F)-against}
pairs=${PAIRS:-9} seconds=${SECONDS_EACH:-4} sessions=${SESSIONS:-100000}
rows=${ROWS:-get-near get-off verify-near verify-off search-near search-off create-near create-off}
for tool in redis-server redis-cli curl; do command -v "$tool" >/dev/null || { echo "against.sh: $tool is not on PATH" >&2; exit 1; }; done
mkdir -p "$out"
dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$dir"' EXIT
go build -o "$dir/bench" ./bench
"$a" key new --name bench --user-id bench --permission session.read --permission session.write --permission session.delete \
	--file "$dir/keys.yaml" >"$dir/key" 2>/dev/null
redis-server --port 17811 --bind 127.0.0.1 --save '' --appendonly no --hash-max-listpack-value 4096 --dir "$dir" --logfile '' >/dev/null &
until redis-cli -p 17811 ping >/dev/null 2>&1; do sleep 0.1; done
# serve PROGRAM PORT FLAGS: the API at PORT, the admin listener at PORT+1000.
serve() {
	local program=$1 port=$2
	shift 2
	"$program" serve --http-addr "127.0.0.1:$port" --admin-addr "127.0.0.1:$((port + 1000))" --redis-url redis://127.0.0.1:17811 \
		--auth-keys-file "$dir/keys.yaml" --log-level warn "$@" &
	until curl -sf -o /dev/null "http://127.0.0.1:$((port + 1000))/readyz"; do sleep 0.01; done
}
serve "$a" 18111
serve "$b" 18112
serve "$a" 18113 --near-cache-bytes 0
serve "$b" 18114 --near-cache-bytes 0
"$dir/bench" seed --target http://127.0.0.1:18111 --count "$sessions" --key-file "$dir/key" >&2
for row in $rows; do
	scenario=${row%-*} port=18111
	case $scenario in get) scenario=get-hot ;; search) scenario=search-user ;; verify) scenario=verify-steady ;; esac
	case $row in *-off) port=18113 ;; esac
	printf '\n## %s\n\n' "$row"
	"$dir/bench" pairs --a "http://127.0.0.1:$port" --b "http://127.0.0.1:$((port + 1))" --scenario "$scenario" --redis redis://127.0.0.1:17811 \
		--pairs "$pairs" --seconds "$seconds" --sessions "$sessions" --out "$out/$row" --key-file "$dir/key" 2>/dev/null || echo "(not valid)"
	rm -f "$out/$row"-*.hgrm # one for each of the runs; the JSON has them
done
