package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// wave is the scenario logout-wave: it deletes sessions through one process and
// asks another for them until that refuses, one session after the other. What
// it measures is how long the other process goes on serving what was deleted.
// It is no scenario of the engine: each of its steps waits for the one before.
type wave struct {
	config scenarioConfig
	here   net.Conn // the process that deletes
	there  net.Conn // the one that is asked
	n      int
}

const logoutWave = "logout-wave"

func openWave(ctx context.Context, c scenarioConfig, here, there endpoint) (*wave, error) {
	w := &wave{config: c}
	var err error
	if w.here, err = here.dial(ctx); err != nil {
		return nil, err
	}
	if w.there, err = there.dial(ctx); err != nil {
		return nil, errors.Join(err, w.here.Close())
	}
	return w, nil
}

func (w *wave) close() {
	w.here.Close()
	w.there.Close()
}

// once makes a session, has the other process hold a copy of it, deletes it,
// and returns how long after the delete's answer the other one refused it.
func (w *wave) once() (late time.Duration, err error) {
	w.n++
	user := fmt.Sprintf(`"userId":"9584808%011d"`, w.n)
	a, err := w.ask(w.here, 201, w.config.withBody("POST", "/v2/sessions", `{"checks":{"user":{`+user+`}}}`))
	if err != nil {
		return 0, err
	}
	id, _, err := createdSession(a.body)
	if err != nil {
		return 0, err
	}
	get, id := w.config.get("/v2/sessions/"+string(id)), bytes.Clone(id)
	for range 3 { // so that it is in the near cache
		if _, err := w.ask(w.there, 200, get); err != nil {
			return 0, err
		}
	}
	if _, err := w.ask(w.here, 200, w.config.without("DELETE", "/v2/sessions/"+string(id))); err != nil {
		return 0, err
	}
	deleted := time.Now()
	for time.Since(deleted) < fetchTimeout {
		a, err := exchange(w.there, get)
		switch {
		case err != nil:
			return 0, err
		case a.status == 404:
			return time.Since(deleted), nil
		case a.status != 200:
			return 0, fmt.Errorf("status %d: %.200s", a.status, a.body)
		}
	}
	return 0, errors.New("a deleted session is served without end")
}

func (w *wave) ask(conn net.Conn, want int, request []byte) (*answer, error) {
	if err := conn.SetDeadline(time.Now().Add(fetchTimeout)); err != nil {
		return nil, err
	}
	a, err := exchange(conn, request)
	if err == nil && a.status != want {
		err = fmt.Errorf("status %d, not %d: %.200s", a.status, want, a.body)
	}
	return a, err
}

// measureWave runs logout waves for the time of a run, beside load on the other
// process if a rate is given.
func (s *source) measureWave(ctx context.Context, seed uint64) (*Run, error) {
	there, err := parseEndpoint(s.flags.other)
	if err != nil {
		return nil, fmt.Errorf("--other: %w", err)
	}
	run := &Run{Label: logoutWave, Mode: "closed", Connections: 1}
	background := make(chan error, 1)
	loadCtx, stop := context.WithCancel(ctx)
	defer stop()
	if s.flags.rate > 0 {
		run.Label = fmt.Sprintf("%s beside %s at %.0f requests/s", logoutWave, s.flags.background, s.flags.rate)
		beside := *s
		beside.flags.scenario, beside.target = s.flags.background, there
		l, err := beside.load(s.flags.rate, s.flags.seconds+2*s.flags.warmup+5, seed)
		if err != nil {
			return nil, err
		}
		go func() {
			_, err := l.run(loadCtx)
			background <- err
		}()
	} else {
		background <- nil
	}
	w, err := openWave(ctx, s.config, s.target, there)
	if err != nil {
		stop()
		return nil, errors.Join(err, <-background)
	}
	defer w.close()
	r := newRecorder(false, duration(s.flags.seconds))
	begin := time.Now()
	for ctx.Err() == nil {
		at := time.Since(begin) - duration(s.flags.warmup)
		if at >= duration(s.flags.seconds) {
			break
		}
		late, err := w.once()
		switch {
		case at < 0:
		case err != nil:
			r.sent++
			r.fail(at, err.Error())
		default:
			r.sent++
			r.answer(at, late, late)
		}
		if err != nil {
			break
		}
	}
	stop()
	if err := <-background; err != nil && ctx.Err() == nil && loadCtx.Err() == nil {
		return nil, err
	}
	o := &outcome{total: r, due: r.sent, length: duration(s.flags.seconds), interrupted: ctx.Err() != nil}
	if err := o.fill(run); err != nil {
		return nil, err
	}
	run.Warmup = s.flags.warmup
	run.Figures = map[string]float64{
		"revocation_p50_ms": run.Latency.P50 / 1000, "revocation_p99_ms": run.Latency.P99 / 1000, "revocation_max_ms": run.Latency.Max / 1000,
	}
	return run, nil
}
