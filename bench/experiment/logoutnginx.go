package experiment

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/load"
	"github.com/cloakroom-dev/cloakroom/bench/result"
	"github.com/cloakroom-dev/cloakroom/bench/scenario"
	"github.com/cloakroom-dev/cloakroom/bench/source"
)

const (
	// nearWithin is how long a new session may take until a near cache has it.
	nearWithin = 30 * time.Second
	// stallPoll is the pause between requests while the proxy is silent, which
	// takes about as long as the bound.
	stallPoll = time.Millisecond
)

// logoutNginx ends logins in one process, and sends requests with their
// tokens through nginx, which asks another process, until they are refused. With
// a proxy (bench redis-proxy), the other process' connection for invalidations is
// silenced before each end.
//
// A request that was sent later than the bound after the answer to the end
// and is let pass is wrong.
type logoutNginx struct {
	source       *source.Source
	flags        *Flags
	logins       logins
	nginx        load.Endpoint // of nginx
	process      *nginx
	admin, proxy load.Endpoint // of the other process; proxy has no network if there is none
}

// newLogoutNginx starts nginx. end stops it.
func newLogoutNginx(ctx context.Context, s *source.Source, f *Flags, l logins, other load.Endpoint) (w *logoutNginx, end func(), err error) {
	if f.bound <= 0 {
		return nil, nil, errors.New("--bound must be positive")
	}
	w = &logoutNginx{source: s, flags: f, logins: l}
	if w.admin, err = load.ParseEndpoint(f.otherAdmin); err != nil {
		return nil, nil, fmt.Errorf("--other-admin: %w", err)
	}
	if f.proxy != "" {
		if w.proxy, err = load.ParseEndpoint(f.proxy); err != nil {
			return nil, nil, fmt.Errorf("--redis-proxy: %w", err)
		}
		if f.workers != 1 {
			return nil, nil, errors.New("--redis-proxy silences one process: --workers must be 1")
		}
	}
	g, err := startNginx(ctx, other)
	if err != nil {
		return nil, nil, err
	}
	w.nginx, w.process = g.endpoint, g
	return w, g.stop, nil
}

// logoutRound is what one logout came to.
type logoutRound struct {
	asked, unavailable      uint64 // requests after the end; of them, neither let pass nor refused
	first                   bool   // the first request was refused
	deleted, refused, since time.Duration
	passed                  time.Duration // when the last that was let pass was sent, after the answer to the end
	wrong                   bool          // a request sent since after the answer was let pass
}

func (w *logoutNginx) run(ctx context.Context, seconds float64, run *result.Run) error {
	refused, deleted := result.NewHistogram(), result.NewHistogram()
	begin := time.Now()
	var mu sync.Mutex
	var first, unavailable float64
	var passed time.Duration
	err := together(ctx, run, begin, w.flags.workers, func(n int) error {
		return w.work(ctx, n, begin.Add(source.Duration(seconds)), func(r *logoutRound) {
			mu.Lock()
			defer mu.Unlock()
			run.Due += r.asked + 1
			run.Answered += r.asked + 1
			passed = max(passed, r.passed)
			unavailable += float64(r.unavailable)
			record(deleted, r.deleted)
			record(refused, r.refused)
			if r.first {
				first++
			}
			if r.wrong {
				run.Wrong++
				run.FirstError = fmt.Sprintf("a request sent %v after the login was ended was let pass", r.since)
			}
		})
	})
	if err != nil && w.process != nil {
		return w.process.explain(err)
	}
	if err != nil {
		return err
	}
	run.Figures["refused_at_the_first_request"] = first
	run.Figures["gateway_errors"] = unavailable
	run.Figures["last_let_pass_ms"] = float64(passed.Microseconds()) / 1000
	run.Figures["bound_ms"] = w.flags.bound * 1000
	return fillRun(run, refused, deleted, "revocation", endName(w.source))
}

// work logs in, waits for a copy, logs out and asks until it is refused.
func (w *logoutNginx) work(ctx context.Context, n int, end time.Time, done func(*logoutRound)) error {
	here, err := scenario.NewCaller(ctx, w.source.Target, w.source.Config)
	if err != nil {
		return err
	}
	defer here.Close()
	through := &visitor{nginx: w.nginx, config: w.source.Config}
	defer through.close()
	for i := 0; time.Now().Before(end) && ctx.Err() == nil; i++ {
		login, err := w.logins.logIn(here, n, i)
		if err != nil {
			return err
		}
		through.token(login.token)
		if err := w.untilNear(ctx, through); err != nil {
			return err
		}
		if err := w.tell(ctx, "/stall"); err != nil {
			return err
		}
		var r logoutRound
		var deleted time.Time
		if deleted, r.deleted, err = login.end(); err != nil {
			return err
		}
		if err := w.untilRefused(ctx, through, deleted, &r); err != nil {
			return err
		}
		done(&r)
		if err := w.tell(ctx, "/cut"); err != nil {
			return err
		}
	}
	return nil
}

// untilNear sends requests, all of which must pass, until one was answered by a
// copy in the other process.
func (w *logoutNginx) untilNear(ctx context.Context, through *visitor) error {
	for begin := time.Now(); time.Since(begin) < nearWithin; {
		before, err := w.read(ctx)
		if err != nil {
			return err
		}
		a, err := through.ask(ctx)
		if err != nil {
			return err
		}
		if a.Status == 500 && time.Since(begin) < nearWithin { // the other process, or its store, is late
			continue
		}
		if a.Status != 200 {
			return fmt.Errorf("a new login is not let pass: status %d: %.200s", a.Status, a.Body)
		}
		if after, err := w.read(ctx); err != nil || w.logins.copied(before, after) {
			return err
		}
	}
	return fmt.Errorf("no copy answers within %v", nearWithin)
}

// read reads the metrics of the other process.
func (w *logoutNginx) read(ctx context.Context) (source.Reading, error) {
	a, err := load.Fetch(ctx, w.admin, []byte("GET /metrics HTTP/1.1\r\nHost: "+w.admin.Host+"\r\nConnection: close\r\n\r\n"))
	if err != nil {
		return nil, err
	}
	r := source.Reading{}
	r.ParseMetrics(a.Body)
	if _, ok := r[`cloakroom_near_hits_total{kind="session"}`]; a.Status != 200 || !ok {
		return nil, fmt.Errorf("--other-admin: the metrics do not have the near cache: status %d", a.Status)
	}
	return r, nil
}

// untilRefused sends requests until one is refused, or is let pass too late.
func (w *logoutNginx) untilRefused(ctx context.Context, through *visitor, deleted time.Time, r *logoutRound) error {
	for ctx.Err() == nil {
		r.since = time.Since(deleted)
		a, err := through.ask(ctx)
		if err != nil {
			return err
		}
		r.asked++
		r.refused = time.Since(deleted)
		if a.Status == 200 {
			r.passed = r.since
		}
		switch {
		case a.Status == 401:
			r.first = r.asked == 1
			return nil
		case a.Status == 200 && r.since > source.Duration(w.flags.bound):
			r.wrong = true
			return nil
		case a.Status == 500 && r.since < refusedWithin: // nginx' word for what is neither
			r.unavailable++
		case a.Status != 200:
			return fmt.Errorf("a request after the end: status %d: %.200s", a.Status, a.Body)
		}
		if w.proxy.Network != "" {
			pauseFor(ctx, stallPoll)
		}
	}
	return nil
}

// tell tells bench redis-proxy to do something with the connections for invalidations.
func (w *logoutNginx) tell(ctx context.Context, what string) error {
	if w.proxy.Network == "" {
		return nil
	}
	a, err := load.Fetch(ctx, w.proxy, []byte("POST "+what+" HTTP/1.1\r\nHost: "+w.proxy.Host+"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
	if err != nil {
		return fmt.Errorf("--redis-proxy: %w", err)
	}
	if n := scenario.Field(append(a.Body, '"'), `{"connections":`); a.Status != 200 || what == "/stall" && string(n) == "0}" {
		return fmt.Errorf("--redis-proxy: %s: status %d: %.100s", what, a.Status, a.Body)
	}
	return nil
}

// visitor sends requests through nginx, on one connection as long as that is
// kept: nginx closes it after an answer of 500.
type visitor struct {
	nginx  load.Endpoint
	config scenario.Config
	caller *scenario.Caller // nil if there is no connection
}

// token changes what the visitor shows.
func (v *visitor) token(token string) {
	v.config.Key = token
	if v.caller != nil {
		v.caller.Config.Key = token
	}
}

// ask sends one request.
func (v *visitor) ask(ctx context.Context) (*load.Answer, error) {
	if v.caller == nil {
		var err error
		if v.caller, err = scenario.NewCaller(ctx, v.nginx, v.config); err != nil {
			return nil, err
		}
	}
	a, err := v.caller.Call("GET", "/", "")
	if err == nil && a.Close {
		v.close()
	}
	return a, err
}

func (v *visitor) close() {
	if v.caller != nil {
		v.caller.Close()
		v.caller = nil
	}
}
