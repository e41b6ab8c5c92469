#!/usr/bin/env bash
# Sends made-up tokens to verify in front of a ZITADEL as fast as they are answered, and says what they cost ZITADEL, and whether good new ones
# are let in meanwhile. The ZITADEL is a double (bench zitadel), as slow as a real one was measured. Wants redis-server, curl and wrk.
#   CONNECTIONS=1000 SECONDS_EACH=20 bench/probes.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
connections=${CONNECTIONS:-1000} seconds=${SECONDS_EACH:-20}
for tool in redis-server curl wrk; do command -v "$tool" >/dev/null || { echo "probes.sh: $tool is not on PATH" >&2; exit 1; }; done
ulimit -n $((connections + 1000)) 2>/dev/null || ulimit -n "$(ulimit -Hn)"
dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$dir"' EXIT
make -s build >/dev/null
go build -o "$dir/bench" ./bench
zitadel=http://127.0.0.1:17881 verify=http://127.0.0.1:18183 admin=http://127.0.0.1:19181
"$dir/bench" zitadel --addr 127.0.0.1:17881 --accounts "$dir/accounts" --users 50 --user-ids "$dir/ids" >"$dir/zitadel.out" &
until grep -q listening "$dir/zitadel.out"; do kill -0 $! || exit 1; sleep 0.1; done
(umask 077 && awk '$1 == "admin" { print $3 }' "$dir/accounts" >"$dir/owner")
login=$(awk '$1 == "login" { print $3 }' "$dir/accounts")
redis-server --port 17882 --bind 127.0.0.1 --save '' --appendonly no --dir "$dir" --logfile '' >/dev/null &
bin/cloakroom serve --http-addr 127.0.0.1:18181 --verify-addr 127.0.0.1:18183 --admin-addr 127.0.0.1:19181 --redis-url redis://127.0.0.1:17882 --log-level error \
	--upstream-url "$zitadel" --upstream-token-file "$dir/owner" --verify-accept session,id-token-pair --verify-allow-unproven --trusted-proxies 127.0.0.0/8 2>"$dir/log" &
until curl -sf -o /dev/null "$admin/readyz"; do kill -0 $! || exit 1; sleep 0.1; done
probes() { curl -sf "$admin/metrics" | awk '$1 == "cloakroom_upstream_probes_total" { print $2 }'; }
before=$(probes)
wrk -t1 -c"$connections" -d"${seconds}s" -s bench/wrk/made-up.lua "$verify" >"$dir/wrk" &
flood=$! end=$((SECONDS + seconds - 2))
mapfile -t users <"$dir/ids"
for ((n = 0; SECONDS < end; n++)); do # a session that is created at ZITADEL, and asked for from another network
	answer=$(curl -s -H "Authorization: Bearer $login" -H 'Content-Type: application/json' "$zitadel/v2/sessions" -d '{"checks":{"user":{"userId":"'"${users[n % 50]}"'"}}}')
	id=$(sed 's/.*"sessionId":"\([^"]*\)".*/\1/' <<<"$answer") token=$(sed 's/.*"sessionToken":"\([^"]*\)".*/\1/' <<<"$answer")
	for file in new known; do # the first time it costs a probe, the second time a copy answers, if it was let in
		curl -s -o /dev/null -w '%{http_code} %{time_total}\n' -H 'X-Forwarded-For: 198.51.100.9' -H "Authorization: Bearer $id:$token" "$verify/verify" >>"$dir/$file"
		tail -1 "$dir/$file" | grep -q '^200 ' || break
	done
done
wait "$flood"
# let_in FILE: of the answers in it, how many let in, and how long these took.
let_in() {
	grep '^200 ' "$1" | sort -k2 -n | awk -v all="$(wc -l <"$1")" '{ times[++n] = $2 } END { printf "%d of %d let in, p50 %.0f ms, longest %.0f ms\n", n, all, 1000 * times[int((n + 1) / 2)], 1000 * times[n] }'
}
awk -v probes=$(($(probes) - before)) -v seconds="$seconds" '
	/Requests\/sec/ { printf "made-up tokens: %.0f a second, for %d s; probes of ZITADEL: %d, %.1f a second\n", $2, seconds, probes, probes / seconds }' "$dir/wrk"
echo "good new pairs: $(let_in "$dir/new")"
echo "the same once more: $(let_in "$dir/known")"
