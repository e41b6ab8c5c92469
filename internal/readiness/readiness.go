// Package readiness says whether requests can be answered as the settings promise.
package readiness

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

// PingTimeout is how long /readyz waits for Redis.
const PingTimeout = 500 * time.Millisecond

// Readiness is what /readyz answers: whether requests can be answered as the
// settings promise. It is safe for concurrent use.
type Readiness struct {
	state atomic.Pointer[State]
}

// State is what serves requests, or the reason why nothing does.
type State struct {
	Store    *cache.Store
	Master   *endpoint.Endpoint // nil if the servers prove themselves
	Breakers *breaker.Breakers
	Eviction *Eviction
	Own      bool // the server is ours
	Rights   *Rights
	// Files says how the files are that are read again, and whether all of them are in use as they are.
	Files func() (says string, good bool)
	// ZITADEL is the one whose sessions are cached, nil without one. Check does not look at it: while that is away,
	// copies answer, which a process that is taken out of service would not do, and the others fare no better.
	ZITADEL *ZITADEL
	why     error
}

// New says that the program is starting.
func New() *Readiness {
	r := &Readiness{}
	r.No("cloakroom is starting")
	return r
}

// No says that no requests are served, and why.
func (r *Readiness) No(why string) { r.state.Store(&State{why: errors.New(why)}) }

// Yes says what serves requests from now on.
func (r *Readiness) Yes(s State) { r.state.Store(&s) }

// Store returns what serves requests, nil if nothing does.
func (r *Readiness) Store() *cache.Store { return r.state.Load().Store }

// Check returns nil if requests can be served, else why not.
func (r *Readiness) Check(ctx context.Context) error {
	s := r.state.Load()
	if s.Store == nil {
		return s.why
	}
	if fault := s.Eviction.now.Load().fault; fault != nil {
		return fault
	}
	if fault := s.Rights.now.Load().fault; fault != nil {
		return fault
	}
	err := s.ping(ctx)
	if err != nil && s.Store.NearStats().StaleAge >= 0 {
		return nil // verify answers, which is what --stale-if-error is for
	}
	return err
}

// ping asks Redis, unless its breaker is open, and whether a master is proven.
func (s *State) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, PingTimeout)
	defer cancel()
	err, master := s.Store.Ping(ctx), s.Master.Err()
	if err != nil && master != nil && !strings.Contains(err.Error(), master.Error()) {
		return fmt.Errorf("%w; %w", err, master) // an open breaker does not say why
	}
	return cmp.Or(err, master)
}

// Details says how each part is, those too that may be missing while requests
// are served. It has one line for each.
func (r *Readiness) Details(ctx context.Context) string {
	s := r.state.Load()
	if s.Store == nil {
		return ""
	}
	return lines(s.parts(ctx))
}
