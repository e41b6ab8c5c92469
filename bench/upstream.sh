#!/usr/bin/env bash
# Measures Cloakroom in front of a ZITADEL against that ZITADEL alone, by turns: 80 % verifies, 15 % Gets, 4 % searches, 1 % writes. The ZITADEL is a
# double (bench zitadel), as slow as a real one was measured. Everything on this machine, in three minutes. Wants redis-server, redis-cli and curl.
#   bench/upstream.sh [DIR]     results go to DIR, default bench/results: DATE-upstream-mix.md, and a JSON file for each part
# PAIRS, SECONDS_EACH, RATE, HOT and COLD make it shorter or other; PLOT names the SVG, default DIR/DATE-upstream-mix.svg.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=${1:-bench/results} name=$(date -u +%F)-upstream-mix
pairs=${PAIRS:-5} seconds=${SECONDS_EACH:-4} rate=${RATE:-100} hot=${HOT:-300} cold=${COLD:-4000} connections=16
for tool in redis-server redis-cli curl; do command -v "$tool" >/dev/null || { echo "upstream.sh: $tool is not on PATH" >&2; exit 1; }; done
mkdir -p "$out"
dir=$(mktemp -d)
trap 'exec >&-; kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$dir"' EXIT
make -s build
go build -o "$dir/bench" ./bench
zitadel=http://127.0.0.1:17871 cloakroom=http://127.0.0.1:18171
opencold=$((cold / 8)) # the open loop asks for fewer
all=$((hot + cold + opencold)) users=$(((hot + cold + opencold) / 5))
"$dir/bench" zitadel --addr 127.0.0.1:17871 --accounts "$dir/accounts" --users "$users" --user-ids "$dir/ids" >"$dir/zitadel.out" &
until grep -q listening "$dir/zitadel.out"; do kill -0 $! || exit 1; sleep 0.1; done
(umask 077 && awk '$1 == "login" { print $3 }' "$dir/accounts" >"$dir/token" && awk '$1 == "admin" { print $3 }' "$dir/accounts" >"$dir/owner")
redis-server --port 17872 --bind 127.0.0.1 --save '' --appendonly no --hash-max-listpack-value 4096 --dir "$dir" --logfile '' >/dev/null &
until redis-cli -p 17872 ping >/dev/null 2>&1; do sleep 0.1; done
# The sessions have no factor but their user, which is why verify is told to let such pass.
bin/cloakroom serve --http-addr 127.0.0.1:18171 --admin-addr 127.0.0.1:19171 --redis-url redis://127.0.0.1:17872 --log-level warn \
	--upstream-url "$zitadel" --upstream-token-file "$dir/owner" --verify-accept id-token-pair --verify-allow-unproven &
until curl -sf -o /dev/null http://127.0.0.1:19171/readyz; do kill -0 $! || exit 1; sleep 0.01; done
"$dir/bench" seed --by create --target "$zitadel" --token-file "$dir/token" --user-ids "$dir/ids" --count "$all" --dataset "$dir/sessions" --connections "$connections" >"$dir/seeded" 2>/dev/null
# Each part has cold sessions of its own.
(umask 077 && head -n $((hot + cold)) "$dir/sessions" >"$dir/closed" && { head -n "$hot" "$dir/sessions" && tail -n "$opencold" "$dir/sessions"; } >"$dir/open")
# busy: what has a processor now, with its share of one.
busy() { ps -eo comm=,pcpu= --sort=-pcpu | awk '$NF > 5 && n++ < 5 { printf "%s%s %s %%", sep, $1, $NF; sep = ", " }'; }
# row NAME DATASET TITLE FLAGS of pairs
row() {
	local file=$1 dataset=$2 title=$3
	shift 3
	printf '\n## %s\n\nLoad of the machine before: %s; running then: %s.\n\n' "$title" "$(cut -d' ' -f1-2 /proc/loadavg)" "$(busy)"
	"$dir/bench" pairs --a "$cloakroom" --a-name 'through Cloakroom' --b "$zitadel" --b-name 'at ZITADEL (its double)' --scenario upstream-mix \
		--dataset "$dir/$dataset" --token-file "$dir/token" --hot "$hot" --a-admin http://127.0.0.1:19171 --a-redis redis://127.0.0.1:17872 \
		--connections "$connections" --pairs "$pairs" --seconds "$seconds" --placement 'load, Cloakroom, Redis and a double of ZITADEL on one machine' --out "$out/$file" "$@" 2>/dev/null || echo "(not valid)"
	rm -f "$out/$file"-*.hgrm # one for each of the runs; the JSON has them
}
exec > >(tee "$out/$name.md")
cat <<HEAD
# In front of ZITADEL, $(date -u +%F)

Commit $(git describe --always --dirty), $(go version | cut -d' ' -f3), Linux $(uname -r), $(nproc) cores ($(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)), Redis $(redis-server --version | sed 's/.*v=\([^ ]*\).*/\1/').
Command: \`PAIRS=$pairs SECONDS_EACH=$seconds RATE=$rate HOT=$hot COLD=$cold bench/upstream.sh\`.

The ZITADEL is a double, \`bench zitadel\`: as many GetSession, ListSessions and CreateSession a second as a real one was measured to answer, two at a time, and each call random in length; it takes little processor time itself, as ZITADEL and its PostgreSQL would not. Load, Cloakroom, Redis and the double share the cores. All speak plain HTTP over loopback.
Of a hundred requests 80 ask whether a token is good, 15 Get a session, 4 list those of a user, 1 creates or deletes one. ZITADEL has no verify: there it is a GetSession with the token. $hot sessions are known and asked for again and again (Zipf 0.99); of the verifies and Gets one in twenty asks for one that Cloakroom has never seen. Callers have the token of ZITADEL's login client on both sides, ${users} users have five sessions each. Every answer is checked, one in a hundred in full.
Creating them at the double: $(cat "$dir/seeded").
HEAD
row "$name" closed "Closed loop, $connections connections" --seed 1
row "$name-open" open "Open loop, $rate requests a second to either" --rate "$rate" --seed 101
printf 'Load of the machine at the end, with all of this: %s.\n' "$(cut -d' ' -f1-2 /proc/loadavg)"
"$dir/bench" report --svg --title 'Latency of the mix by percentile, through Cloakroom and at the double of ZITADEL' --out "${PLOT:-$out/$name.svg}" "$out/$name.json" "$out/$name-open.json"
