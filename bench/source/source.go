// Package source is a program that is ready to be measured: the flags that describe
// it and its load, one run of that load as a result, what the program and its Redis
// say of themselves meanwhile, and where it all ran. Look here when a run asks for the
// wrong thing, or a result says the wrong thing of its environment.
package source

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/cli"
	"github.com/cloakroom-dev/cloakroom/bench/issuer"
	"github.com/cloakroom-dev/cloakroom/bench/load"
	"github.com/cloakroom-dev/cloakroom/bench/scenario"
)

// Source is a target that is ready to be measured. A copy of it, with other flags, is
// another source.
type Source struct {
	Flags    Flags
	Target   load.Endpoint
	calls    load.Endpoint   // where the scenario's requests go
	Config   scenario.Config // of every scenario
	Checking bool            // the target has a truth: it is no baseline
	version  map[string]string
}

// Open checks the flags, asks the target who it is, and for the dataset's dates, and
// prepares it for the scenario.
func (f *Flags) Open(ctx context.Context) (*Source, error) {
	switch {
	case f.Connections < 1 || f.Connections > 10_000:
		return nil, fmt.Errorf("--connections must be between 1 and 10000, not %d", f.Connections)
	case f.Seconds <= 0 || f.Warmup < 0 || f.Timeout <= 0:
		return nil, errors.New("--seconds and --timeout must be positive, --warmup not negative")
	case f.Sessions < scenario.PerUser || f.Limit < 1 || f.Zipf < 0 || f.Backlog < 0:
		return nil, errors.New("--sessions must be at least 5, --limit at least 1, --zipf and --backlog not negative")
	case f.VerifySessions < 1:
		return nil, errors.New("--verify-sessions must be at least 1")
	case f.Rate < 0:
		return nil, errors.New("--rate must not be negative")
	}
	e, err := load.ParseEndpoint(f.Target)
	if err != nil {
		return nil, fmt.Errorf("--target: %w", err)
	}
	if err := e.Trust(f.Created.CAFile); err != nil {
		return nil, fmt.Errorf("--ca-file: %w", err)
	}
	key, err := cli.ReadKey(f.KeyFile)
	if err != nil {
		return nil, err
	}
	s := &Source{Flags: *f, Target: e, Config: scenario.Config{Host: e.Host, Key: key, Zipf: f.Zipf, Offset: f.Offset, Limit: f.Limit, VerifySessions: f.VerifySessions}}
	var pad bool
	if s.version, pad, err = version(ctx, e, key); err != nil {
		return nil, err
	}
	s.Checking, s.Config.HasVerify = !pad, s.version != nil
	if err := s.findCalls(); err != nil {
		return nil, err
	}
	if err := s.readTokens(); err != nil {
		return nil, err
	}
	if scenario.IsAboutCreated(f.Scenario) {
		if err := s.openCreated(ctx); err != nil {
			return nil, err
		}
		return s, s.Prepare(ctx, f.Scenario)
	}
	s.Config.Data = scenario.Dataset{Sessions: f.Sessions - f.Sessions%scenario.PerUser, Newest: time.Now().UTC()}
	if f.Newest != "" {
		s.Config.Data.Newest, err = time.Parse(time.RFC3339, f.Newest)
	} else if s.Checking {
		s.Config.Data.Newest, err = newestOf(ctx, s.Config, e)
	}
	if err != nil {
		return nil, err
	}
	return s, s.Prepare(ctx, f.Scenario)
}

// readTokens reads the tokens that the issuer has signed, where one is named.
func (s *Source) readTokens() (err error) {
	f := &s.Flags
	switch {
	case f.Issuer == "" && scenario.ByJWT(f.Scenario):
		return fmt.Errorf("the scenario %s needs --issuer", f.Scenario)
	case f.Issuer == "":
		return nil
	case f.JWTs < 1:
		return errors.New("--jwts must be at least 1")
	case f.Scenario == "verify-jwt-cold":
		s.Config.Cold, err = issuer.ReadTokens(f.Issuer, f.Algorithm, issuer.Cold, 0)
	default:
		s.Config.Live, err = issuer.ReadTokens(f.Issuer, f.Algorithm, issuer.Live, f.JWTs)
	}
	return err
}

// findCalls says where the scenario's requests go.
func (s *Source) findCalls() (err error) {
	switch s.calls = s.Target; {
	case scenario.ByGRPC(s.Flags.Scenario) && s.Flags.GRPC == "":
		return fmt.Errorf("the scenario %s needs --grpc", s.Flags.Scenario)
	case scenario.ByGRPC(s.Flags.Scenario):
		s.calls, err = load.ParseEndpoint("http://" + s.Flags.GRPC)
	}
	return err
}

// Answer is one answer to the scenario, of a client and over a connection of its own. It
// was checked, if the target has a truth.
func (s *Source) Answer(ctx context.Context, n int) (*load.Answer, error) {
	l, err := s.Load(0, 1, s.Flags.Seed)
	if err != nil {
		return nil, err
	}
	client := l.Scenario.Client(n, load.NewRand(s.Flags.Seed, uint64(n)+1))
	a, want, err := load.Ask(ctx, s.calls, client)
	if err != nil || !s.Checking {
		return a, err
	}
	if a.Status != want {
		return nil, fmt.Errorf("status %d, not %d: %.200s", a.Status, want, a.Body)
	}
	return a, client.Check(a)
}

// Prepare makes the target ready for the scenario with that name, as
// scenario.Prepare does, unless it has no truth: a baseline.
func (s *Source) Prepare(ctx context.Context, name string) error {
	if !s.Checking {
		return nil
	}
	return scenario.Prepare(ctx, name, s.Target, s.Config)
}

// newestOf asks the target when its last session was created. So it also sees
// that the dataset is there, and not larger.
func newestOf(ctx context.Context, c scenario.Config, e load.Endpoint) (time.Time, error) {
	get := func(i int) (*load.Answer, error) {
		return load.Fetch(ctx, e, c.Get(scenario.SessionPath+scenario.SessionID(i)))
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

// Load returns an engine for one run at rate requests/s, 0 for a closed loop.
func (s *Source) Load(rate, seconds float64, seed uint64) (*load.Load, error) {
	sc, err := scenario.New(s.Flags.Scenario, s.Config)
	if err != nil {
		return nil, err
	}
	backlog := s.Flags.Backlog
	if backlog == 0 {
		backlog = max(int(rate), s.Flags.Connections)
	}
	return &load.Load{
		Target: s.calls, Scenario: sc, Checking: s.Checking, DeepEvery: s.Flags.DeepEvery,
		Rate: rate, Schedule: s.Flags.Schedule, Backlog: backlog, Connections: s.Flags.Connections,
		Warmup: Duration(s.Flags.Warmup), Length: Duration(seconds), Timeout: Duration(s.Flags.Timeout), Seed: seed, Urgent: true,
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
