// Package live keeps what the console shows of the program while it runs: the last five minutes, second by second. It reads the
// program's own metrics once a second, whether somebody looks or not, so that a page that is opened when something went wrong
// shows how it began. It asks Redis only while somebody looks.
package live

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache/near"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/readiness"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
)

const (
	// every is how often the program is sampled.
	every = time.Second
	// kept is how many points are kept of each series.
	kept = 300
	// window is how many samples percentiles, and the rates of what Latest lists, are of.
	window = 10
)

// Config configures a Live. Gatherer, Health and Store are required.
type Config struct {
	// Gatherer has the program's metrics.
	Gatherer prometheus.Gatherer
	// Health says how each part of the program is. It may ask Redis.
	Health func(context.Context) []readiness.Part
	// Store returns what is served now, nil if nothing is.
	Store func() Store
	// Lasts says whether requests to a route take as long as their work does, so that their times say nothing of the
	// program's speed; nil: none do.
	Lasts func(route string) bool
	// Bound is how long ago at most a change by another process may be unseen; 0 if there is no near cache.
	Bound time.Duration
	// Logger is told when metrics cannot be gathered; nil means slog.Default().
	Logger *slog.Logger
}

// Store is what a *cache.Store tells of its sessions and of their copies.
type Store interface {
	NearStats() near.Stats
	Expiries(context.Context) (*index.Expiries, error)
}

// Live samples the program. Make it with New. It is safe for concurrent use.
type Live struct {
	config    Config
	log       *slog.Logger
	startedAt time.Time
	health    watch
	expiries  watch

	mu       sync.Mutex
	samples  samples
	now      time.Time // of the last sample
	lastSeen pictures
	answers  answers
}

// New returns a Live without a sample. It starts nothing; Run does the work.
func New(c Config) *Live {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	now := time.Now()
	return &Live{config: c, log: c.Logger, startedAt: now, now: now, health: newWatch(), expiries: newWatch(), samples: newSamples(c.Lasts)}
}

// Run samples the program, and looks at its health and its sessions while somebody asks for answers, until ctx ends. It returns
// nil then, when all of that has ended. (I7)
func (l *Live) Run(ctx context.Context) error {
	var group errgroup.Group
	group.Go(func() error { return l.sampleAgain(ctx) })
	group.Go(func() error { return l.health.run(ctx, healthEvery, healthTimeout, l.lookAtHealth) })
	group.Go(func() error { return l.expiries.run(ctx, expiriesEvery, expiriesTimeout, l.countExpiries) })
	return group.Wait()
}

// sampleAgain samples at once and then every second until ctx ends.
func (l *Live) sampleAgain(ctx context.Context) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	failing := false
	for {
		err := l.sample()
		if err != nil && !failing {
			l.log.Warn("console: some metrics cannot be gathered", "error", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// sample takes a sample. If it fails, what could be gathered counts.
func (l *Live) sample() error {
	families, err := l.config.Gatherer.Gather()
	stats := near.Stats{State: "not there yet"}
	if store := l.config.Store(); store != nil {
		stats = store.NearStats()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.samples.take(now.Sub(l.startedAt), families, &stats, l.lastSeen.live(now)) {
		l.now = now
		l.answers.forget()
	}
	return err
}
