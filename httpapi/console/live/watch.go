package live

import (
	"context"
	"math"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/readiness"
)

const (
	// How often at most somebody who looks has the program's health, and Redis' sessions, looked at, and how long that may take.
	healthEvery, healthTimeout     = time.Second, time.Second
	expiriesEvery, expiriesTimeout = 5 * time.Second, 2 * time.Second
	// healthFor is how long what was seen of the health is worth showing: a page that is hidden looks every 10 s.
	healthFor = 15 * time.Second
	// liveFor is how long a number of sessions is drawn as that of now.
	liveFor = 15 * time.Second
	// mostFault is the most bytes of an error that are shown.
	mostFault = 300
)

// watch looks at something only after somebody has asked for it.
type watch struct{ wanted chan struct{} }

func newWatch() watch { return watch{wanted: make(chan struct{}, 1)} }

// want asks for a look. It does not wait.
func (w *watch) want() {
	select {
	case w.wanted <- struct{}{}:
	default: // somebody has asked already
	}
}

// run looks when that is wanted, and then rests, until ctx ends. It returns nil.
func (w *watch) run(ctx context.Context, rest, timeout time.Duration, look func(context.Context)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.wanted:
		}
		lookCtx, cancel := context.WithTimeout(ctx, timeout)
		look(lookCtx)
		cancel()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(rest):
		}
	}
}

// pictures are what was seen the last time.
type pictures struct {
	health   []readiness.Part
	healthAt time.Time
	expiries *index.Expiries // nil: never
	// expiriesAt is when they were seen, and fault why that has failed since, "" if it has not.
	expiriesAt time.Time
	fault      string
}

func (l *Live) lookAtHealth(ctx context.Context) {
	parts := l.config.Health(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lastSeen.health, l.lastSeen.healthAt = parts, time.Now()
}

func (l *Live) countExpiries(ctx context.Context) {
	store := l.config.Store()
	if store == nil {
		return
	}
	e, err := store.Expiries(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		text := err.Error()
		l.lastSeen.fault = text[:min(len(text), mostFault)]
		return
	}
	l.lastSeen.expiries, l.lastSeen.expiriesAt, l.lastSeen.fault = e, time.Now(), ""
}

// live is how many sessions live, NaN if that is not known by now.
func (p *pictures) live(now time.Time) float64 {
	if p.expiries == nil || now.Sub(p.expiriesAt) > liveFor {
		return math.NaN()
	}
	return float64(p.expiries.Live())
}

// healthBy returns the health, nothing if it was seen too long ago.
func (p *pictures) healthBy(now time.Time) []readiness.Part {
	if now.Sub(p.healthAt) > healthFor {
		return nil
	}
	return p.health
}
