package news

import (
	"context"
	"time"

	"github.com/cloakroom-dev/cloakroom/upstream"
)

const (
	// mostSent is how many sent events wait to be applied.
	mostSent = 10_000
	// togetherSent is how many of them are applied together.
	togetherSent = 256
	// sentWithin bounds that, sentTries how often it is tried, sentPause the time between: what is lost, the search for events finds.
	sentWithin, sentTries, sentPause = 5 * time.Second, 3, 500 * time.Millisecond
)

// Sent takes an event that ZITADEL has sent, to be applied soon. It does not wait. ok is false if too many
// wait already: then it is lost, and only a search will find it.
func (f *Follower) Sent(e upstream.Event) (ok bool) {
	f.lastSent.Store(time.Now().UnixNano())
	select {
	case f.sent <- e:
		return true
	default:
		f.metrics.event("webhook", "lost")
		return false
	}
}

// applySent applies the sent events until ctx ends.
func (f *Follower) applySent(ctx context.Context) {
	for {
		var first upstream.Event
		select {
		case <-ctx.Done():
			return
		case first = <-f.sent:
		}
		all, some := newEffects(), 0
		add := func(e *upstream.Event) {
			effect := all.add(e)
			f.metrics.event("webhook", effect)
			if effect != effectNone {
				some++
			}
		}
		add(&first)
		for n := 1; n < togetherSent && len(f.sent) > 0; n++ {
			e := <-f.sent // nobody else takes from it
			add(&e)
		}
		f.applySome(ctx, all, some)
	}
}

// applySome tries to apply the effects of n events.
func (f *Follower) applySome(ctx context.Context, all effects, n int) {
	for try := 1; ; try++ {
		stepCtx, cancel := context.WithTimeout(ctx, sentWithin)
		err := f.apply(stepCtx, all)
		cancel()
		if err == nil || ctx.Err() != nil {
			return
		}
		if try == sentTries {
			f.metrics.lost(n)
			f.log.Warn("events that zitadel has sent were not applied: if a process searches for events, that finds them, else copies show them after --upstream-max-age", "events", n, "sessions", len(all.sessions), "users", len(all.users), "error", err)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(sentPause):
		}
	}
}
