# Sourced by the scripts install-*: installs packages with the system's package manager. They set `needed`, which a failure says.
set -eu
exec </dev/null # nothing may ask

script=$(basename "$0")

say() { echo "$script: $1"; }

fail() {
	say "$1" >&2
	say "$needed" >&2
	exit 1
}

# root runs a command as root; a password is never asked for.
root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo -n "$@"
	else
		fail "not root, and no sudo to run: $*"
	fi
}

# packages installs what each package manager calls the same: "APT" "APK" "DNF" "BREW", of words. RUNLEVEL=1 keeps Debian from starting services.
packages() {
	# shellcheck disable=SC2086 # one word per package
	if command -v apt-get >/dev/null; then
		root apt-get update -q || say "apt-get update failed; trying with the indexes at hand" # an index that cannot be fetched may be one of many
		root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -q --no-install-recommends $1
	elif command -v apk >/dev/null; then
		root apk add --no-cache $2
	elif command -v dnf >/dev/null; then
		root dnf install -y $3
	elif command -v brew >/dev/null; then
		brew install $4
	else
		fail "found none of apt-get, apk, dnf, brew"
	fi
}

# missing prints those of the programs that are not on PATH.
missing() { for program; do command -v "$program" >/dev/null || echo "$program"; done; }
