package main

import (
	"flag"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/cli"
)

const (
	// checkedDeep is of how many answers one is checked in full.
	checkedDeep = 100
)

// loadFlags describe one run of load.
type loadFlags struct {
	target, scenario, schedule, keyFile  string
	admin, redis, placement, newest      string
	rate, zipf                           float64
	seconds, warmup, timeout             float64
	connections, sessions, offset, limit int
	verifySessions                       int
	backlog, deepEvery                   int
	seed                                 uint64
}

func (f *loadFlags) register(flags *flag.FlagSet) {
	flags.StringVar(&f.target, "target", "http://127.0.0.1:8080", "the program to measure: `URL`, http://HOST:PORT or unix:PATH")
	flags.StringVar(&f.scenario, "scenario", "get-hot", "what to ask: `NAME`")
	flags.StringVar(&f.keyFile, "key-file", "", "`FILE` with the API key; default the environment's "+cli.KeyVariable)
	flags.StringVar(&f.admin, "admin", "", "the program's admin listener: `URL`; adds its CPU time and near cache to the result")
	flags.StringVar(&f.redis, "redis", "", "its Redis: `URL`; adds Redis' CPU time, version and settings to the result")
	flags.StringVar(&f.placement, "placement", "load, program and Redis on one machine", "what runs where, in words")
	flags.Float64Var(&f.rate, "rate", 0, "requests/s that are due, however slow the answers are; 0 is a closed loop")
	flags.StringVar(&f.schedule, "schedule", "poisson", "when requests are due: constant, poisson, burst")
	flags.IntVar(&f.backlog, "backlog", 0, "how many due requests may wait for a connection, more are dropped; 0 is those of a second")
	flags.IntVar(&f.connections, "connections", 64, "how many connections")
	flags.Float64Var(&f.seconds, "seconds", 5, "how long to measure")
	flags.Float64Var(&f.warmup, "warmup", 1, "seconds of load before it that do not count")
	flags.Float64Var(&f.timeout, "timeout", 5, "seconds to wait for an answer")
	flags.Uint64Var(&f.seed, "seed", 1, "seed of all that is random")
	flags.Float64Var(&f.zipf, "zipf", 0.99, "exponent of the skew; 0 is uniform")
	flags.IntVar(&f.sessions, "sessions", 100_000, "how many sessions were seeded")
	flags.StringVar(&f.newest, "newest", "", "creation `DATE` of the newest of them; default: ask the target")
	flags.IntVar(&f.offset, "offset", -1, "search-admin: offset of the page; -1 is a random one each time")
	flags.IntVar(&f.limit, "limit", 100, "search-admin: length of the page")
	flags.IntVar(&f.verifySessions, "verify-sessions", 20_000, "verify-steady: how many sessions, which it stores itself")
	flags.IntVar(&f.deepEvery, "check-every", checkedDeep, "check one of so many answers in full, all others by a few bytes; 0 none in full")
}

func duration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
