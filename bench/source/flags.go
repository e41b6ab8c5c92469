package source

import (
	"flag"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/cli"
	"github.com/cloakroom-dev/cloakroom/bench/issuer"
)

const (
	// checkedDeep is of how many answers one is checked in full.
	checkedDeep = 100
)

// Flags describe one run of load. Register says what each is.
type Flags struct {
	Target, GRPC                         string
	Scenario, Schedule, KeyFile          string
	Admin, Redis, Placement, Newest      string
	Rate, Zipf                           float64 // requests/s; the exponent of the skew
	Seconds, Warmup, Timeout             float64 // in seconds
	Connections, Sessions, Offset, Limit int
	VerifySessions, JWTs                 int
	Issuer, Algorithm                    string
	Created                              CreatedFlags
	Backlog, DeepEvery                   int
	Seed                                 uint64
}

// Register adds the flags, with their default values.
func (f *Flags) Register(flags *flag.FlagSet) {
	flags.StringVar(&f.Target, "target", "http://127.0.0.1:8080", "the program to measure: `URL`, http://HOST:PORT or unix:PATH")
	flags.StringVar(&f.GRPC, "grpc", "", "get-grpc, list-grpc and verify-grpc: its listener of gRPC, `HOST:PORT`")
	flags.StringVar(&f.Scenario, "scenario", "get-hot", "what to ask: `NAME`")
	flags.StringVar(&f.KeyFile, "key-file", "", "`FILE` with the API key; default the environment's "+cli.KeyVariable)
	flags.StringVar(&f.Admin, "admin", "", "the program's admin listener: `URL`; adds its CPU time and near cache to the result")
	flags.StringVar(&f.Redis, "redis", "", "its Redis: `URL`; adds Redis' CPU time, version and settings to the result")
	flags.StringVar(&f.Placement, "placement", "load, program and Redis on one machine", "what runs where, in words")
	flags.Float64Var(&f.Rate, "rate", 0, "requests/s that are due, however slow the answers are; 0 is a closed loop")
	flags.StringVar(&f.Schedule, "schedule", "poisson", "when requests are due: constant, poisson, burst")
	flags.IntVar(&f.Backlog, "backlog", 0, "how many due requests may wait for a connection, more are dropped; 0 is those of a second")
	flags.IntVar(&f.Connections, "connections", 64, "how many connections")
	flags.Float64Var(&f.Seconds, "seconds", 5, "how long to measure")
	flags.Float64Var(&f.Warmup, "warmup", 1, "seconds of load before it that do not count")
	flags.Float64Var(&f.Timeout, "timeout", 5, "seconds to wait for an answer")
	flags.Uint64Var(&f.Seed, "seed", 1, "seed of all that is random")
	flags.Float64Var(&f.Zipf, "zipf", 0.99, "exponent of the skew; 0 is uniform")
	flags.IntVar(&f.Sessions, "sessions", 100_000, "how many sessions were seeded")
	flags.StringVar(&f.Newest, "newest", "", "creation `DATE` of the newest of them; default: ask the target")
	flags.IntVar(&f.Offset, "offset", -1, "search-admin: offset of the page; -1 is a random one each time")
	flags.IntVar(&f.Limit, "limit", 100, "search-admin: length of the page")
	flags.IntVar(&f.VerifySessions, "verify-sessions", 20_000, "verify-steady: how many sessions, which it stores itself")
	f.RegisterJWTs(flags)
	f.Created.Register(flags, &f.KeyFile)
	f.Created.registerRun(flags)
	flags.IntVar(&f.DeepEvery, "check-every", checkedDeep, "check one of so many answers in full, all others by a few bytes; 0 none in full")
}

// RegisterJWTs adds the flags of scenarios with JWTs.
func (f *Flags) RegisterJWTs(flags *flag.FlagSet) {
	flags.StringVar(&f.Issuer, "issuer", "", "verify-jwt, verify-jwt-cold, logout-jwt, logout-jwt-nginx: `DIR` of a bench issuer that runs")
	flags.StringVar(&f.Algorithm, "jwt-alg", "RS256", "what its tokens are signed by: "+strings.Join(issuer.Algorithms, " or "))
	flags.IntVar(&f.JWTs, "jwts", 10_000, "verify-jwt: how many of its tokens")
}

// Duration returns so many seconds as a duration.
func Duration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
