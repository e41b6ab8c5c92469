package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/breaker"
	"github.com/cloakroom-dev/cloakroom/internal/endpoint"
)

// pingTimeout is how long /readyz waits for Redis.
const pingTimeout = 500 * time.Millisecond

// readiness is what /readyz answers: whether requests can be answered as the
// settings promise. It is safe for concurrent use.
type readiness struct {
	state atomic.Pointer[readyState]
}

// readyState is what serves requests, or the reason why nothing does.
type readyState struct {
	store    *cache.Store
	master   *endpoint.Endpoint // nil if the servers prove themselves
	breakers *breaker.Breakers
	eviction *eviction
	own      bool // the server is ours
	rights   *rights
	files    func() string // how the files are that are read again
	why      error
}

func newReadiness() *readiness {
	r := &readiness{}
	r.no("cloakroom is starting")
	return r
}

func (r *readiness) no(why string) { r.state.Store(&readyState{why: errors.New(why)}) }

func (r *readiness) yes(s readyState) { r.state.Store(&s) }

// check returns nil if requests can be served, else why not.
func (r *readiness) check(ctx context.Context) error {
	s := r.state.Load()
	if s.store == nil {
		return s.why
	}
	if fault := s.eviction.now.Load().fault; fault != nil {
		return fault
	}
	if fault := s.rights.now.Load().fault; fault != nil {
		return fault
	}
	err := s.ping(ctx)
	if _, stale := s.store.StaleAge(); err != nil && stale {
		return nil // verify answers, which is what --stale-if-error is for
	}
	return err
}

// ping asks Redis, unless its breaker is open, and whether a master is proven.
func (s *readyState) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	err, master := s.store.Ping(ctx), s.master.Err()
	if err != nil && master != nil && !strings.Contains(err.Error(), master.Error()) {
		return fmt.Errorf("%w; %w", err, master) // an open breaker does not say why
	}
	return cmp.Or(err, master)
}

// details says how each part is, those too that may be missing while requests
// are served. It has one line for each.
func (r *readiness) details(ctx context.Context) string {
	s := r.state.Load()
	if s.store == nil {
		return ""
	}
	redis := "answers"
	if err := s.ping(ctx); err != nil {
		redis = err.Error()
		if age, stale := s.store.StaleAge(); stale {
			redis += fmt.Sprintf("; verify answers by copies that were right %s ago (--stale-if-error)", age.Round(time.Millisecond))
		}
	}
	open := "closed"
	if away := s.breakers.Stats().Open; len(away) > 0 {
		open = "open: " + strings.Join(away, ", ")
	}
	master := "each node of the Cluster says what is its own"
	switch {
	case s.master != nil:
		master = s.master.State()
	case s.own:
		master = "a server of this process"
	}
	return "redis: " + redis + "\n" +
		"master: " + master + "\n" +
		"breaker: " + open + "\n" +
		"eviction: " + s.eviction.now.Load().says + "\n" +
		"rights: " + s.rights.now.Load().says + "\n" +
		"files: " + s.files() + "\n" +
		"near cache: " + s.store.NearStats().State + "\n" +
		"waiting for replicas: " + s.store.FailoverStats().Wait + "\n"
}
