// Package news applies what happens at a ZITADEL to a store that keeps copies of its sessions. Package upstream
// finds the events; look here for what each of them says (effect.go), for how the search for them proves that none
// was missed (poll.go), and for those that ZITADEL sends by itself (sent.go).
package news

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/upstream"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
)

// Config says whose news a Follower follows. Store and Search are required.
type Config struct {
	Store *cache.Store
	// Search finds events, as upstream.Client.Events does.
	Search func(context.Context, upstream.EventSearch) ([]upstream.Event, error)
	// Every is how long after a search the next one begins; 0 does not search.
	Every time.Duration
	// MaxAgeProven is how long after it was checked a copy may answer: news that are older are no help.
	MaxAgeProven time.Duration
	// Ties has ties of OIDC sessions learned, too, before somebody asks for them.
	Ties bool
	// Logger is told when news fail and when they come again; nil tells nobody.
	Logger *slog.Logger
	// Metrics takes the metrics; nil: nobody sees them.
	Metrics prometheus.Registerer
}

// Follower follows the news of a ZITADEL. It is safe for concurrent use.
type Follower struct {
	Config
	log   *slog.Logger
	polls polls
	// sent are events that ZITADEL has sent, and that wait to be applied.
	sent chan upstream.Event
	// lastSent is when the last one came, as Unix time in nanoseconds; 0: none yet.
	lastSent atomic.Int64
	metrics  *measures
	state    atomic.Pointer[State]
}

// New returns a Follower. It starts nothing.
func New(c Config) *Follower {
	f := &Follower{Config: c, log: c.Logger, sent: make(chan upstream.Event, mostSent)}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	f.state.Store(&State{})
	f.metrics = newMeasures(c.Metrics, f)
	return f
}

// Run searches for events, and applies those and the sent ones, until ctx ends; then it lets another process search, and returns nil.
func (f *Follower) Run(ctx context.Context) error {
	var running sync.WaitGroup
	if f.Every > 0 {
		running.Go(func() { f.search(ctx) })
	}
	running.Go(func() { f.applySent(ctx) })
	running.Wait() // I7
	if f.polls.leads {
		endCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endLeadWithin)
		defer cancel()
		_ = f.Store.EndNewsLead(endCtx) // else it ends by itself, later
	}
	return nil
}

// applyAtOnce is how many effects are applied at a time.
const applyAtOnce = 16

// apply applies effects. What has failed is an error; the rest is applied all the same.
func (f *Follower) apply(ctx context.Context, all effects) error {
	var group errgroup.Group
	group.SetLimit(applyAtOnce)
	for id, change := range all.sessions {
		group.Go(func() error {
			switch {
			case change.terminated:
				err := f.Store.Terminate(ctx, id, reasonTerminated)
				if errors.Is(err, cache.ErrUnreadable) { // by this process: whoever can read it asks first
					err = f.Store.Outdate(ctx, id)
				}
				return err
			case change.unnumbered:
				return f.Store.Changed(ctx, id, 0)
			}
			return f.Store.Changed(ctx, id, change.sequence)
		})
	}
	for user := range all.users {
		group.Go(func() error { return f.Store.OutdateUser(ctx, user) })
	}
	for oidcSession, tie := range all.ties {
		group.Go(func() error {
			_ = f.Store.LearnTie(ctx, oidcSession, tie) // who needs one that is missing finds it, so no proof waits for it
			return nil
		})
	}
	return group.Wait() // I7
}

// reasonTerminated is the reason in the tombstone of a session that ZITADEL has ended.
const reasonTerminated = "terminated"

// now is the store's clock. (I1)
func (f *Follower) now() session.Time { return f.Store.Now() }
