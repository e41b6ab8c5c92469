#!/usr/bin/env bash
# Measures how things are with many sessions: loading, memory, reads, searches,
# an audit, a restart of Redis from its file. Wants redis-server, redis-cli and curl.
#   bench/size.sh [DIR]     results go to DIR, default bench/results/DATE-size
# SESSIONS (5,000,000) and SECONDS_EACH (10) make it shorter. Needs about 1 KiB of memory a session, twice while Redis saves.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
sessions=${SESSIONS:-5000000} seconds=${SECONDS_EACH:-10}
out=${1:-bench/results/$(date -u +%F)-size}
for tool in redis-server redis-cli curl; do command -v "$tool" >/dev/null || { echo "size.sh: $tool is not on PATH" >&2; exit 1; }; done
mkdir -p "$out"
dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$dir"' EXIT
make -s build
go build -o "$dir/bench" ./bench
bin/cloakroom key new --name bench --user-id bench --permission session.read --permission session.write --permission session.delete \
	--file "$dir/keys.yaml" >"$dir/key" 2>/dev/null
redis=redis://127.0.0.1:17951
start_redis() {
	redis-server --port 17951 --bind 127.0.0.1 --save '' --appendonly no --hash-max-listpack-value 4096 --dir "$dir" --logfile '' >/dev/null &
	until [[ $(redis-cli -p 17951 ping 2>/dev/null) == PONG ]]; do sleep 0.1; done
}
serve() { # PORT FLAGS
	local port=$1
	shift
	bin/cloakroom serve --http-addr "127.0.0.1:$port" --admin-addr "127.0.0.1:$((port + 1))" --redis-url "$redis" \
		--auth-keys-file "$dir/keys.yaml" --log-level warn --audit-interval 0 "$@" &
	until curl -sf -o /dev/null "http://127.0.0.1:$((port + 1))/readyz"; do sleep 0.05; done
}
resident() { awk '/VmRSS/ {printf "%.0f MiB\n", $2 / 1024}' "/proc/$1/status"; }
seconds_of() { awk -v a="$1" -v b="$(date +%s%N)" 'BEGIN { printf "%.1f s\n", (b - a) / 1e9 }'; }
bench() { "$dir/bench" "$@" --key-file "$dir/key"; }
say() { echo "$*" | tee -a "$out/size.md"; }

: >"$out/size.md"
say "# $sessions sessions, $(date -u +%F)"
say
start_redis
serve 17960 --near-cache-bytes 0
off=$!
serve 17962
on=$!
say "- import: $(bench seed --target http://127.0.0.1:17960 --count "$sessions" 2>/dev/null)"
say "- resident memory of the process that imported: $(resident "$off")"
used() { redis-cli -p 17951 info memory | tr -d '\r' | awk -F: -v k="$1" '$1 == k { print $2 }'; }
say "- Redis: used_memory $(used used_memory) bytes, $(awk -v u="$(used used_memory)" -v n="$sessions" 'BEGIN { printf "%.0f", u / n }') a session; used_memory_rss $(used used_memory_rss) bytes"
row() { # NAME TITLE FLAGS of run
	local name=$1 title=$2
	shift 2
	say
	say "## $title"
	say
	bench run --seconds "$seconds" --warmup 2 --sessions "$sessions" --redis "$redis" --out "$out/$name" "$@" 2>/dev/null | tee -a "$out/size.md"
	rm -f "$out/$name"*.hgrm
}
row get-off "GetSession, near cache off" --target http://127.0.0.1:17960 --scenario get-hot
row get-on "GetSession, near cache on" --target http://127.0.0.1:17962 --scenario get-hot
row user-off "search by user and date, near cache off" --target http://127.0.0.1:17960 --scenario search-user
row user-on "search by user and date, near cache on" --target http://127.0.0.1:17962 --scenario search-user
row admin "creation range, a page of 100 at offset 0, near cache off" --target http://127.0.0.1:17960 --scenario search-admin
row admin-far "creation range, a page of 100 at offset 1,000,000" --target http://127.0.0.1:17960 --scenario search-admin --offset 1000000
row create "CreateSession, near cache off" --target http://127.0.0.1:17960 --scenario create
say
say "- resident memory of the process with the near cache: $(resident "$on")"
begin=$(date +%s%N)
say
say '## cloakroom audit --rate 0'
say
say "$(bin/cloakroom audit --redis-url "$redis" --rate 0 2>/dev/null || true)"
say
say "- audit: $(seconds_of "$begin")"
begin=$(date +%s%N)
redis-cli -p 17951 save >/dev/null
say "- Redis' SAVE: $(seconds_of "$begin"), $(stat -c %s "$dir/dump.rdb") bytes"
