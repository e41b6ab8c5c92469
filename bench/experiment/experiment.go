// Package experiment has the scenarios with a course of their own, which are not one
// request after another: logouts that another process must hear of, sessions that end
// in one second, more load than a program can do, a flood, a crowd, connections for one request each. Look here when
// what is measured is what happens after something.
package experiment

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/cli"
	"github.com/cloakroom-dev/cloakroom/bench/load"
	"github.com/cloakroom-dev/cloakroom/bench/result"
	"github.com/cloakroom-dev/cloakroom/bench/scenario"
	"github.com/cloakroom-dev/cloakroom/bench/source"
)

// Flags are those of these scenarios. Register says what each is.
type Flags struct {
	other, background string
	otherAdmin, proxy string
	bound             float64
	workers, count    int
	idle, slow        int
	flood             float64
}

// Register adds the flags, with their default values.
func (f *Flags) Register(flags *flag.FlagSet) {
	flags.StringVar(&f.other, "other", "", "logout, logout-nginx, logout-jwt, logout-jwt-nginx: another process on the same Redis, which must refuse: `URL`")
	flags.StringVar(&f.otherAdmin, "other-admin", "http://127.0.0.1:9090", "logout-nginx, logout-jwt-nginx: its admin listener: `URL`")
	flags.StringVar(&f.proxy, "redis-proxy", "", "logout-nginx, logout-jwt-nginx: control of the bench redis-proxy that it reaches Redis through, to silence invalidations: `URL`")
	flags.Float64Var(&f.bound, "bound", 1, "logout-nginx, logout-jwt-nginx: its --near-cache-staleness in seconds; to let pass later is wrong")
	flags.StringVar(&f.background, "background", "search-user", "logout, logout-nginx, the same with jwt, expiry-cliff: scenario of the load at --rate beside it; overload, costly-flood, crowd, new-connections: what is asked")
	flags.IntVar(&f.workers, "workers", 1, "logout, logout-nginx, the same with jwt, expiry-cliff: how many connections; overload: as many as the program lets work at a time; costly-flood: of the flood; new-connections: as many as there may be at a time")
	flags.IntVar(&f.idle, "idle", 10_000, "crowd: connections that send nothing")
	flags.IntVar(&f.slow, "slow", 2_000, "crowd: connections that send a byte of a request now and then")
	flags.Float64Var(&f.flood, "flood", 100, "costly-flood: searches/s that are due, without waiting after a 503; new-connections: connections/s that are made for one request")
	flags.IntVar(&f.count, "ending-sessions", 1000, "expiry-cliff: how many sessions end in one second")
}

// experiment is a scenario with a course of its own. One with the method ownLoad
// makes all load itself. It measures for as long as it is
// told, and puts what it finds into run.
type experiment interface {
	run(ctx context.Context, seconds float64, run *result.Run) error
}

// The scenarios that end logins of JWTs.
const (
	logoutJWTName      = "logout-jwt"
	logoutJWTNginxName = "logout-jwt-nginx"
)

func byJWT(scenario string) bool { return scenario == logoutJWTName || scenario == logoutJWTNginxName }

// Is says whether the scenario with that name is one of these.
func Is(name string) bool {
	switch name {
	case "logout", "logout-nginx", logoutJWTName, logoutJWTNginxName, "expiry-cliff", "overload", "costly-flood", "crowd", "new-connections":
		return true
	}
	return false
}

// newExperiment makes an experiment. end ends what belongs to it.
func newExperiment(ctx context.Context, s *source.Source, f *Flags, m *source.Meters) (w experiment, end func(), err error) {
	end = func() {}
	if !s.Checking {
		return nil, nil, fmt.Errorf("%s needs a program with sessions, not a baseline", s.Flags.Scenario)
	}
	if f.workers < 1 || f.count < scenario.PerUser {
		return nil, nil, fmt.Errorf("--workers must be at least 1, --ending-sessions at least %d", scenario.PerUser)
	}
	switch s.Flags.Scenario {
	case "expiry-cliff":
		return &expiryCliff{source: s, flags: f}, end, nil
	case "overload":
		return &overload{source: s, flags: f, meters: m}, end, nil
	case "costly-flood":
		return &flood{source: s, flags: f}, end, nil
	case "new-connections":
		return &newConnections{source: s, flags: f}, end, nil
	case "crowd":
		return &crowd{source: s, flags: f, meters: m}, end, nil
	}
	other, err := load.ParseEndpoint(f.other)
	if err != nil {
		return nil, nil, fmt.Errorf("--other: %w", err)
	}
	l, err := newLogins(s)
	if err != nil {
		return nil, nil, err
	}
	if s.Flags.Scenario == "logout-nginx" || s.Flags.Scenario == logoutJWTNginxName {
		return newLogoutNginx(ctx, s, f, l, other)
	}
	return &logout{source: s, flags: f, logins: l, other: other}, end, nil
}

// Measure makes one run of the source's scenario, which Is must say yes to, beside a
// load if there is a rate. The load is on the process that must refuse.
func Measure(ctx context.Context, stderr io.Writer, s *source.Source, f *Flags, m *source.Meters, seed uint64) (*result.Run, error) {
	w, end, err := newExperiment(ctx, s, f, m)
	if err != nil {
		return nil, err
	}
	defer end()
	run := &result.Run{Label: s.Flags.Scenario, Mode: "closed", Connections: f.workers, Figures: map[string]float64{}}
	begin := time.Now()
	stop := cli.Progress(stderr, run.Label, int64(s.Flags.Seconds+s.Flags.Warmup), func() (int64, string) {
		return int64(time.Since(begin) / time.Second), " s"
	})
	defer stop()
	_, ownLoad := w.(interface{ ownLoad() })
	if s.Flags.Rate == 0 || ownLoad {
		return run, w.run(ctx, s.Flags.Seconds, run)
	}

	beside := *s
	beside.Flags.Scenario = f.background
	if l, ok := w.(*logout); ok {
		beside.Target, beside.Config.Host = l.other, l.other.Host
	}
	if err := s.Prepare(ctx, f.background); err != nil {
		return nil, err
	}
	l, err := beside.Load(s.Flags.Rate, s.Flags.Seconds, seed)
	if err != nil {
		return nil, err
	}
	loadCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	type ending struct {
		o   *load.Outcome
		err error
	}
	loaded := make(chan ending, 1)
	go func() {
		o, err := l.Run(loadCtx)
		loaded <- ending{o, err}
	}()
	pauseFor(ctx, l.Warmup)
	ownErr := w.run(ctx, s.Flags.Seconds, run)
	if ownErr != nil {
		cancel()
	}
	r := <-loaded
	if ownErr != nil || r.err != nil {
		return run, cmp.Or(ownErr, r.err)
	}
	var got result.Run
	if err := r.o.Fill(&got); err != nil {
		return nil, err
	}
	run.Figures["background_rate"] = s.Flags.Rate
	run.Figures["background_p99_ms"] = got.Latency.P99 / 1000
	run.Figures["background_failed"] = float64(got.Errors + got.Wrong + got.Dropped)
	if got.Invalid != "" && run.Invalid == "" {
		run.Invalid = "the load beside it: " + got.Invalid
	}
	return run, nil
}

// pauseFor waits for d or the end of ctx.
func pauseFor(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
