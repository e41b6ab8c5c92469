#!/usr/bin/env bash
# Measures JWTs at verify: tokens that are known and such that are not, beside other gates, logouts, and the memory of a known
# token. Everything on this machine, in a quarter of an hour. Wants redis-server, redis-cli and curl, and nginx for logout through it.
#   bench/jwt.sh [DIR]     results go to DIR, default bench/results/DATE-jwt: jwt.md, and a JSON file for each part
# PAIRS, ROUNDS, SECONDS_EACH, COLD_SECONDS, LOGOUT_SECONDS, SILENT_SECONDS and JWTS make it shorter; PARTS names some of near, cold, peers, logout, memory only.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=${1:-bench/results/$(date -u +%F)-jwt}
pairs=${PAIRS:-5} rounds=${ROUNDS:-3} seconds=${SECONDS_EACH:-3} coldseconds=${COLD_SECONDS:-2} jwts=${JWTS:-10000} cold=${COLD:-150000} known=${KNOWN:-50000}
logoutseconds=${LOGOUT_SECONDS:-20} parts=${PARTS:-near cold peers logout memory}
for tool in redis-server redis-cli curl; do command -v "$tool" >/dev/null || { echo "jwt.sh: $tool is not on PATH" >&2; exit 1; }; done
mkdir -p "$out"
dir=$(mktemp -d)
trap 'exec >&-; kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$dir"' EXIT
make -s build
go build -o "$dir/bench" ./bench
bin/cloakroom key new --name bench --user-id bench --permission session.read --permission session.write --permission session.delete \
	--file "$dir/keys.yaml" >"$dir/key" 2>/dev/null
redis-server --port 17861 --bind 127.0.0.1 --save '' --appendonly no --hash-max-listpack-value 4096 --dir "$dir" --logfile '' >/dev/null &
until redis-cli -p 17861 ping >/dev/null 2>&1; do sleep 0.1; done
has() { [[ " $parts " == *" $1 "* ]]; }
live=$jwts
! has memory || ((live >= known)) || live=$known
has cold || cold=0
"$dir/bench" issuer --dir "$dir/issuer" --rs256 "$jwts" --es256 "$live" --rs256-cold "$cold" --es256-cold "$cold" >"$dir/issuer.out" &
until grep -q listening "$dir/issuer.out"; do kill -0 $! || exit 1; sleep 0.1; done
# serve PORT REDISPORT FLAGS: the API at PORT, verify alone at PORT+100, the admin listener at PORT+1000. It leaves its process in $served.
serve() {
	local port=$1 redis=$2
	shift 2
	bin/cloakroom serve --http-addr "127.0.0.1:$port" --verify-addr "127.0.0.1:$((port + 100))" --admin-addr "127.0.0.1:$((port + 1000))" \
		--redis-url "redis://127.0.0.1:$redis" --auth-keys-file "$dir/keys.yaml" --auth-issuers-file "$dir/issuer/issuers.yaml" \
		--verify-accept session,jwt --log-level warn "$@" &
	served=$!
	until curl -sf -o /dev/null "http://127.0.0.1:$((port + 1000))/readyz"; do sleep 0.01; done
}
stop() { # PROCESS
	kill "$1"
	wait "$1" || true
}
sessions=1000 # nobody asks for them
bench() { "$dir/bench" "$@" --key-file "$dir/key" --issuer "$dir/issuer" 2>/dev/null; }
measure() { # NAME FLAGS of run
	local name=$1
	shift
	bench run --sessions "$sessions" --out "$out/$name" "$@" || echo "(not valid)"
	rm -f "$out/$name"-*.hgrm
}
row() { # NAME TITLE FLAGS of pairs
	local name=$1 title=$2
	shift 2
	printf '\n## %s\n\n' "$title"
	bench pairs --pairs "$pairs" --sessions "$sessions" --jwts "$jwts" --out "$out/$name" "$@" || echo "(not valid)"
	rm -f "$out/$name"-*.hgrm # one for each of the runs; the JSON has them
}
on=http://127.0.0.1:18191 off=http://127.0.0.1:18192
serve 18191 17861
near=$served
"$dir/bench" seed --target "$on" --count "$sessions" --key-file "$dir/key" >&2

# in_use PORT: prints the bytes of its heap and of the process that are in use, after a collection.
in_use() {
	curl -sf -o /dev/null "http://127.0.0.1:$(($1 + 1000))/debug/pprof/heap?gc=1"
	curl -sf -o /dev/null "http://127.0.0.1:$(($1 + 1000))/debug/pprof/heap?gc=1"
	curl -sf "http://127.0.0.1:$(($1 + 1000))/metrics" | awk '$1 == "go_memstats_heap_alloc_bytes" { heap = $2 } $1 == "process_resident_memory_bytes" { resident = $2 } END { printf "%.0f %.0f\n", heap, resident }'
}
# memory PORT TITLE: how much a known token takes there.
memory() {
	local before after
	before=$(in_use "$1")
	bench run --target "http://127.0.0.1:$1" --sessions "$sessions" --scenario verify-jwt --jwt-alg ES256 --jwts "$known" --seconds 1 --warmup 0 >/dev/null
	after=$(in_use "$1")
	awk -v title="$2" -v n="$known" -v b="$before" -v a="$after" 'BEGIN { split(b, x); split(a, y)
		printf "| %s | %.1f MiB | %.1f MiB | %.0f | %.0f |\n", title, x[1] / 1048576, y[1] / 1048576, (y[1] - x[1]) / n, (y[2] - x[2]) / n }'
}

exec > >(tee "$out/jwt.md")
cat <<HEAD
# JWTs at verify, $(date -u +%F)

Commit $(git describe --always --dirty), $(go version | cut -d' ' -f3), Linux $(uname -r), $(nproc) cores ($(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)), Redis $(redis-server --version | sed 's/.*v=\([^ ]*\).*/\1/').
Command: \`PAIRS=$pairs ROUNDS=$rounds SECONDS_EACH=$seconds COLD_SECONDS=$coldseconds JWTS=$jwts COLD=$cold KNOWN=$known PARTS='$parts' bench/jwt.sh\`. Load, programs, issuer and Redis share the cores. $jwts tokens, of 1,485 bytes by RS256 and 1,229 by ES256, Zipf 0.99, 64 connections.
HEAD
if has near; then
	row near-rs256 'verify-jwt, RS256, near hit, against the baseline' --a "$on" --b baseline --scenario verify-jwt --seconds "$seconds" --admin http://127.0.0.1:19191 --at-least 0.75
	row near-es256 'The same, ES256' --a "$on" --b baseline --scenario verify-jwt --jwt-alg ES256 --seconds "$seconds" --admin http://127.0.0.1:19191 --at-least 0.75
	row near-rs256-buffer 'RS256, against a baseline with a write buffer of 8 KiB' --a "$on" --b baseline --scenario verify-jwt --seconds "$seconds" --write-buffer 8192 --admin http://127.0.0.1:19191
	row session 'For comparison: verify-steady, whose tokens are of sessions, against the baseline' --a "$on" --b baseline --scenario verify-steady --seconds "$seconds" --admin http://127.0.0.1:19191
fi
if has cold; then
	row cold-rs256 'verify-jwt-cold, RS256: each request a token that was never shown, against the baseline' --a "$on" --b baseline --scenario verify-jwt-cold --pairs 3 --seconds "$coldseconds" --warmup 0.5 --admin http://127.0.0.1:19191
	row cold-es256 'The same, ES256' --a "$on" --b baseline --scenario verify-jwt-cold --jwt-alg ES256 --pairs 3 --seconds "$coldseconds" --warmup 0.5 --admin http://127.0.0.1:19191
	stop "$near" # the tokens are shown once more
	serve 18191 17861
	near=$served
	row cold-plain-rs256 'verify-jwt-cold, RS256, against a plain check by golang-jwt' --a "$on" --b jwt-plain --scenario verify-jwt-cold --pairs 3 --seconds "$coldseconds" --warmup 0.5 --admin http://127.0.0.1:19191
	row cold-plain-es256 'The same, ES256' --a "$on" --b jwt-plain --scenario verify-jwt-cold --jwt-alg ES256 --pairs 3 --seconds "$coldseconds" --warmup 0.5 --admin http://127.0.0.1:19191
	stop "$near"
	serve 18191 17861
	near=$served
fi
if has peers; then
	serve 18192 17861 --near-cache-bytes 0
	for algorithm in RS256 ES256; do
		printf '\n## Beside others, %s\n\n%s\n' "$algorithm" "cloakroom-near has the near cache, cloakroom reads from Redis whether a login has ended."
		bench peers --target "$off" --admin http://127.0.0.1:19192 --near "$on" --near-admin http://127.0.0.1:19191 --scenario verify-jwt --jwt-alg "$algorithm" --jwts "$jwts" \
			--sessions "$sessions" --peers baseline,introspection,jwt-plain,jwt-cached --rounds "$rounds" --seconds "$seconds" --connections 64 --out "$out/peers-${algorithm,,}" || echo "(not valid)"
		rm -f "$out/peers-${algorithm,,}"-*.hgrm
	done
	stop "$served"
fi
if has logout; then
	serve 18193 17861
	other=$served
	printf '\n## A logout token in one process until refusal in another\n\n```\n'
	measure logout --target "$on" --other http://127.0.0.1:18293 --scenario logout-jwt --jwt-alg ES256 --seconds "$logoutseconds"
	printf '\nBeside 2,000 verifies a second there:\n\n'
	measure logout-load --target "$on" --other http://127.0.0.1:18293 --scenario logout-jwt --jwt-alg ES256 --seconds "$logoutseconds" --rate 2000 --background verify-jwt --jwts "$jwts"
	printf '```\n\n## Through nginx, which asks another process\n\n```\n'
	if command -v nginx >/dev/null; then
		measure logout-nginx --target "$on" --scenario logout-jwt-nginx --jwt-alg ES256 --other http://127.0.0.1:18293 --other-admin http://127.0.0.1:19193 --seconds "$logoutseconds"
		"$dir/bench" redis-proxy --listen 127.0.0.1:17862 --control 127.0.0.1:17863 --redis redis://127.0.0.1:17861 >/dev/null &
		proxy=$!
		until redis-cli -p 17862 ping >/dev/null 2>&1; do sleep 0.1; done
		serve 18194 17862
		printf '\nThe connection for invalidations silenced before each logout:\n\n'
		measure logout-nginx-silent --target "$on" --scenario logout-jwt-nginx --jwt-alg ES256 --other http://127.0.0.1:18294 --other-admin http://127.0.0.1:19194 --redis-proxy http://127.0.0.1:17863 --seconds "${SILENT_SECONDS:-60}"
		stop "$served"
		stop "$proxy"
	else
		echo "(not measured: nginx is not on PATH)"
	fi
	printf '```\n'
	stop "$other"
fi
if has memory; then
	printf '\n## Memory of a known token, %s of them\n\n| process | heap before | after | bytes of heap a token | resident bytes a token |\n|---|---|---|---|---|\n' "$known"
	serve 18195 17861 --near-cache-bytes 0
	memory 18195 'without a near cache: the token alone'
	stop "$served"
	serve 18195 17861
	memory 18195 'with a near cache: also that neither its session nor its user has ended'
	stop "$served"
fi
