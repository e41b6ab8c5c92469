package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
)

// pingTimeout is how long /readyz waits for Redis.
const pingTimeout = 500 * time.Millisecond

// readiness is what /readyz answers. It is safe for concurrent use.
type readiness struct {
	state atomic.Pointer[readyState]
}

// readyState is a store, or the reason why there is none.
type readyState struct {
	store *cache.Store
	why   error
}

func newReadiness() *readiness {
	r := &readiness{}
	r.no("cloakroom is starting")
	return r
}

func (r *readiness) no(why string)          { r.state.Store(&readyState{why: errors.New(why)}) }
func (r *readiness) yes(store *cache.Store) { r.state.Store(&readyState{store: store}) }

// check returns nil if requests can be served, else why not.
func (r *readiness) check(ctx context.Context) error {
	s := r.state.Load()
	if s.store == nil {
		return s.why
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	return s.store.Ping(ctx)
}

// details says how the parts are that may be missing while requests are served.
func (r *readiness) details() string {
	s := r.state.Load()
	if s.store == nil {
		return ""
	}
	return "near cache: " + s.store.NearStats().State + "\n" +
		"waiting for replicas: " + s.store.FailoverStats().Wait + "\n"
}
