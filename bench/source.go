package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/cli"
	"github.com/cloakroom-dev/cloakroom/bench/load"
	"github.com/cloakroom-dev/cloakroom/bench/scenario"
)

// source is a target that is ready to be measured.
type source struct {
	flags    loadFlags
	target   load.Endpoint
	config   scenario.Config
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
	case f.sessions < scenario.PerUser || f.limit < 1 || f.zipf < 0 || f.backlog < 0:
		return nil, errors.New("--sessions must be at least 5, --limit at least 1, --zipf and --backlog not negative")
	case f.verifySessions < 1:
		return nil, errors.New("--verify-sessions must be at least 1")
	case f.rate < 0:
		return nil, errors.New("--rate must not be negative")
	}
	e, err := load.ParseEndpoint(f.target)
	if err != nil {
		return nil, fmt.Errorf("--target: %w", err)
	}
	key, err := cli.ReadKey(f.keyFile)
	if err != nil {
		return nil, err
	}
	s := &source{flags: *f, target: e, config: scenario.Config{Host: e.Host, Key: key, Zipf: f.zipf, Offset: f.offset, Limit: f.limit, VerifySessions: f.verifySessions}}
	var pad bool
	if s.version, pad, err = version(ctx, e, key); err != nil {
		return nil, err
	}
	s.checking = !pad
	s.config.Data = scenario.Dataset{Sessions: f.sessions - f.sessions%scenario.PerUser, Newest: time.Now().UTC()}
	if f.newest != "" {
		s.config.Data.Newest, err = time.Parse(time.RFC3339, f.newest)
	} else if s.checking {
		s.config.Data.Newest, err = newestOf(ctx, s.config, e)
	}
	if err != nil {
		return nil, err
	}
	return s, s.prepare(ctx, f.scenario)
}

// prepare makes the target ready for a scenario that has sessions of its own.
func (s *source) prepare(ctx context.Context, name string) error {
	if !s.checking {
		return nil
	}
	return scenario.Prepare(ctx, name, s.target, s.config)
}

// newestOf asks the target when its last session was created. So it also sees
// that the dataset is there, and not larger.
func newestOf(ctx context.Context, c scenario.Config, e load.Endpoint) (time.Time, error) {
	get := func(i int) (*load.Answer, error) {
		return load.Fetch(ctx, e, c.Get("/v2/sessions/"+scenario.SessionID(i)))
	}
	a, err := get(c.Data.Sessions - 1)
	if err != nil {
		return time.Time{}, err
	}
	var got struct{ Session scenario.SessionJSON }
	if a.Status != 200 {
		return time.Time{}, fmt.Errorf("the target does not have %d sessions: status %d for the last: %.200s", c.Data.Sessions, a.Status, bytes.TrimSpace(a.Body))
	}
	if err := json.Unmarshal(a.Body, &got); err != nil {
		return time.Time{}, err
	}
	if more, err := get(c.Data.Sessions); err != nil || more.Status == 200 {
		return time.Time{}, cmp.Or(err, fmt.Errorf("the target has more than %d sessions", c.Data.Sessions))
	}
	return time.Parse(time.RFC3339Nano, got.Session.CreationDate)
}

// load returns an engine for one run.
func (s *source) load(rate, seconds float64, seed uint64) (*load.Load, error) {
	sc, err := scenario.New(s.flags.scenario, s.config)
	if err != nil {
		return nil, err
	}
	backlog := s.flags.backlog
	if backlog == 0 {
		backlog = max(int(rate), s.flags.connections)
	}
	return &load.Load{
		Target: s.target, Scenario: sc, Checking: s.checking, DeepEvery: s.flags.deepEvery,
		Rate: rate, Schedule: s.flags.schedule, Backlog: backlog, Connections: s.flags.connections,
		Warmup: duration(s.flags.warmup), Length: duration(seconds), Timeout: duration(s.flags.timeout), Seed: seed, Urgent: true,
	}, nil
}

// version asks a program for its GET /version. pad is set if it is a baseline.
func version(ctx context.Context, e load.Endpoint, key string) (fields map[string]string, pad bool, err error) {
	a, err := load.Fetch(ctx, e, scenario.Config{Host: e.Host, Key: key}.Get("/version"))
	if err != nil {
		return nil, false, err
	}
	var all map[string]any
	if a.Status != 200 || json.Unmarshal(a.Body, &all) != nil {
		return nil, false, nil
	}
	if _, pad := all["pad"]; pad {
		return nil, true, nil
	}
	fields = map[string]string{}
	for k, v := range all {
		fields[k] = fmt.Sprint(v)
	}
	return fields, false, nil
}
