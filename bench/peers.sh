#!/usr/bin/env bash
# Measures Cloakroom, with and without a near cache, beside other ways to keep sessions: one EVALSHA a search, plain
# go-redis, rueidis with and without its cache, and PostgreSQL in the shape of ZITADEL's tables. All of them in one run, by turns,
# everything on this machine. Wants redis-server, redis-cli and curl, and PostgreSQL's server for its row.
#   bench/peers.sh [DIR]     results go to DIR, default bench/results/DATE-peers: peers.md, report.html, and a JSON file for each run
# SESSIONS (10,000) are stored; MANY=1000000 measures a second time with so many. 20 minutes for each; ROUNDS, SECONDS_EACH and
# CONNECTIONS make it shorter, PEERS and SCENARIOS name some of them only.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=${1:-bench/results/$(date -u +%F)-peers}
sessions=${SESSIONS:-10000} many=${MANY:-} rounds=${ROUNDS:-5} seconds=${SECONDS_EACH:-5} connections=${CONNECTIONS:-64,8,1}
peers=${PEERS:-evalsha,go-redis,rueidis,rueidis-cached,postgres} scenarios=${SCENARIOS:-search-user get-hot}
for tool in redis-server redis-cli curl; do command -v "$tool" >/dev/null || { echo "peers.sh: $tool is not on PATH" >&2; exit 1; }; done
mkdir -p "$out"
dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$dir"' EXIT
make -s build
go build -o "$dir/bench" ./bench
bin/cloakroom key new --name bench --user-id bench --permission session.read --permission session.write --permission session.delete \
	--file "$dir/keys.yaml" >"$dir/key" 2>/dev/null

# postgres_bin prints where PostgreSQL's server is: Debian keeps it off PATH.
postgres_bin() {
	local found
	found=$(ls -d /usr/lib/postgresql/*/bin/postgres 2>/dev/null | sort -V | tail -n 1 || true)
	found=${found:-$(command -v postgres || true)}
	[[ -z $found ]] || dirname "$(readlink -f "$found")"
}
# start_postgres starts a private server with a quarter of the memory, as PostgreSQL's manual has it, and all else as it comes.
start_postgres() { # PORT
	local as=() memory
	memory=$(awk '/MemTotal/ { printf "%d", $2 / 4096 }' /proc/meminfo)
	mkdir "$dir/postgres"
	if ((EUID == 0)); then # it refuses root
		local user=nobody
		! id -u postgres >/dev/null 2>&1 || user=postgres
		chmod 711 "$dir"
		chown "$user" "$dir/postgres"
		as=(setpriv "--reuid=$user" "--regid=$(id -g "$user")" --clear-groups)
	fi
	"${as[@]}" "$postgres_bin/initdb" --pgdata "$dir/postgres" --username bench --auth trust --no-sync >/dev/null
	"${as[@]}" "$postgres_bin/postgres" -D "$dir/postgres" -c listen_addresses=127.0.0.1 -c "port=$1" -c unix_socket_directories= \
		-c "shared_buffers=${memory}MB" -c log_min_messages=fatal >/dev/null 2>&1 &
	until "$postgres_bin/pg_isready" -q -h 127.0.0.1 -p "$1"; do
		kill -0 $! 2>/dev/null || { echo "peers.sh: PostgreSQL did not start" >&2; exit 1; }
		sleep 0.1
	done
}
redis() { # PORT
	redis-server --port "$1" --bind 127.0.0.1 --save '' --appendonly no --hash-max-listpack-value 4096 --dir "$dir" --logfile '' >/dev/null &
	until redis-cli -p "$1" ping >/dev/null 2>&1; do sleep 0.1; done
}
# serve PORT FLAGS: the API at PORT, the admin listener at PORT+1000.
serve() {
	local port=$1
	shift
	bin/cloakroom serve --http-addr "127.0.0.1:$port" --admin-addr "127.0.0.1:$((port + 1000))" --redis-url redis://127.0.0.1:17901 \
		--auth-keys-file "$dir/keys.yaml" --log-level warn "$@" &
	until curl -sf -o /dev/null "http://127.0.0.1:$((port + 1000))/readyz"; do sleep 0.05; done
}
# side_by_side SESSIONS: stores so many, and measures.
side_by_side() {
	local n=$1 off on pids
	redis 17901
	pids=$!
	redis 17902
	pids+=" $!"
	serve 18090 --near-cache-bytes 0
	off=$!
	serve 18091
	on=$!
	"$dir/bench" seed --target http://127.0.0.1:18090 --count "$n" --key-file "$dir/key" >&2
	for scenario in $scenarios; do
		printf '\n## %s, %s sessions\n' "$scenario" "$n"
		"$dir/bench" peers --target http://127.0.0.1:18090 --admin http://127.0.0.1:19090 --near http://127.0.0.1:18091 --near-admin http://127.0.0.1:19091 \
			--redis redis://127.0.0.1:17901 --peers-redis redis://127.0.0.1:17902 --postgres postgres://bench@127.0.0.1:17903/postgres --peers "$peers" \
			--sessions "$n" --scenario "$scenario" --rounds "$rounds" --seconds "$seconds" --connections "$connections" \
			--key-file "$dir/key" --out "$out/$scenario-$n" || echo "(not valid)"
		rm -f "$out/$scenario-$n"-*.hgrm # one for each of the runs; the JSON has them
	done
	kill "$off" "$on" # before their Redis
	wait "$off" "$on" || true
	# shellcheck disable=SC2086 # one word a process
	kill $pids
	# shellcheck disable=SC2086
	wait $pids || true
}

if [[ ,$peers, == *,postgres,* ]]; then
	postgres_bin=$(postgres_bin)
	if [[ -n $postgres_bin ]]; then
		start_postgres 17903
	else
		echo "peers.sh: there is no PostgreSQL server (Debian's package postgresql); its row is left out" >&2
		peers=$(tr , '\n' <<<"$peers" | grep -vx postgres | paste -sd,)
	fi
fi
{
	cat <<HEAD
# Cloakroom beside others, $(date -u +%F)

Commit $(git describe --always --dirty), $(go version | cut -d' ' -f3), Linux $(uname -r), $(nproc) cores ($(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)), Redis $(redis-server --version | sed 's/.*v=\([^ ]*\).*/\1/')${postgres_bin:+, $("$postgres_bin/postgres" --version | sed 's/.*(\(PostgreSQL\)) \([^ ]*\).*/\1 \2/')}.
Command: \`SESSIONS=$sessions MANY=$many ROUNDS=$rounds SECONDS_EACH=$seconds CONNECTIONS=$connections bench/peers.sh\`. Load, programs and stores share the cores.
"cloakroom by it" is its rate by that of the row, in the same round. PostgreSQL's bytes are those of its tables and indexes.
HEAD
	side_by_side "$sessions"
	[[ -z $many ]] || side_by_side "$many"
} | tee "$out/peers.md"
"$dir/bench" report --out "$out/report.html" --title "Cloakroom beside others" "$out"/*.json
