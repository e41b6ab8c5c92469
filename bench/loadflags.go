package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"time"
)

const (
	fetchTimeout = 10 * time.Second
	keyVariable  = "CLOAKROOM_BENCH_KEY"
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
	flags.StringVar(&f.keyFile, "key-file", "", "`FILE` with the API key; default the environment's "+keyVariable)
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

// source is a target that is ready to be measured.
type source struct {
	flags    loadFlags
	target   endpoint
	config   scenarioConfig
	checking bool
	version  map[string]string
}

// open asks the target who it is, and for the dataset's dates.
func (f *loadFlags) open(ctx context.Context) (*source, error) {
	switch {
	case f.connections < 1 || f.connections > 10_000:
		return nil, fmt.Errorf("--connections must be between 1 and 10000, not %d", f.connections)
	case f.seconds <= 0 || f.warmup < 0 || f.timeout <= 0:
		return nil, errors.New("--seconds and --timeout must be positive, --warmup not negative")
	case f.sessions < perUser || f.limit < 1 || f.zipf < 0 || f.backlog < 0:
		return nil, errors.New("--sessions must be at least 5, --limit at least 1, --zipf and --backlog not negative")
	case f.verifySessions < 1:
		return nil, errors.New("--verify-sessions must be at least 1")
	case f.rate < 0:
		return nil, errors.New("--rate must not be negative")
	}
	e, err := parseEndpoint(f.target)
	if err != nil {
		return nil, fmt.Errorf("--target: %w", err)
	}
	key, err := readKey(f.keyFile)
	if err != nil {
		return nil, err
	}
	s := &source{flags: *f, target: e, config: scenarioConfig{host: e.host, key: key, zipf: f.zipf, offset: f.offset, limit: f.limit, verifySessions: f.verifySessions}}
	var pad bool
	if s.version, pad, err = version(ctx, e, key); err != nil {
		return nil, err
	}
	s.checking = !pad
	s.config.data = dataset{sessions: f.sessions - f.sessions%perUser, newest: time.Now().UTC()}
	if f.newest != "" {
		s.config.data.newest, err = time.Parse(time.RFC3339, f.newest)
	} else if s.checking {
		s.config.data.newest, err = newestOf(ctx, s.config, e)
	}
	if err != nil {
		return nil, err
	}
	return s, s.prepare(ctx, f.scenario)
}

// newestOf asks the target when its last session was created. So it also sees
// that the dataset is there, and not larger.
func newestOf(ctx context.Context, c scenarioConfig, e endpoint) (time.Time, error) {
	get := func(i int) (*answer, error) {
		return fetch(ctx, e, c.get("/v2/sessions/"+sessionID(i)))
	}
	a, err := get(c.data.sessions - 1)
	if err != nil {
		return time.Time{}, err
	}
	var got struct{ Session sessionJSON }
	if a.status != 200 {
		return time.Time{}, fmt.Errorf("the target does not have %d sessions: status %d for the last: %.200s", c.data.sessions, a.status, bytes.TrimSpace(a.body))
	}
	if err := json.Unmarshal(a.body, &got); err != nil {
		return time.Time{}, err
	}
	if more, err := get(c.data.sessions); err != nil || more.status == 200 {
		return time.Time{}, cmp.Or(err, fmt.Errorf("the target has more than %d sessions", c.data.sessions))
	}
	return time.Parse(time.RFC3339Nano, got.Session.CreationDate)
}

// load returns an engine for one run.
func (s *source) load(rate, seconds float64, seed uint64) (*load, error) {
	sc, err := newScenario(s.flags.scenario, s.config)
	if err != nil {
		return nil, err
	}
	backlog := s.flags.backlog
	if backlog == 0 {
		backlog = max(int(rate), s.flags.connections)
	}
	return &load{
		target: s.target, scenario: sc, checking: s.checking, deepEvery: s.flags.deepEvery,
		rate: rate, schedule: s.flags.schedule, backlog: backlog, connections: s.flags.connections,
		warmup: duration(s.flags.warmup), length: duration(seconds), timeout: duration(s.flags.timeout), seed: seed, urgent: true,
	}, nil
}
