package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// load is what goes on while faults happen: writers, each with sessions of its own, and readers of all of them.
type load struct {
	h        *history
	to       []*sidecar
	name     string
	writers  int
	readers  int
	pause    time.Duration // between two calls of one of them
	lifetime bool          // some sessions expire
	wg       sync.WaitGroup
	stopped  context.CancelFunc
}

// start begins.
func (l *load) start(ctx context.Context) {
	ctx, l.stopped = context.WithCancel(ctx)
	for i := range l.writers {
		l.wg.Go(func() { l.write(ctx, i) })
	}
	for i := range l.readers {
		l.wg.Go(func() { l.read(ctx, i) })
	}
}

// stop ends it, and waits for what is under way.
func (l *load) stop() {
	l.stopped()
	l.wg.Wait() // I7
}

func (l *load) caller(r *rand.Rand) *caller { return &caller{l.h, l.to[r.IntN(len(l.to))]} }

// each calls step with pauses until ctx ends.
func (l *load) each(ctx context.Context, step func()) {
	tick := time.NewTicker(l.pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			step()
		}
	}
}

// mine is what a writer knows of a session of its own.
type mine struct {
	*record
	// unsure says that its creation may have happened, or may yet: it must be seen before it is written again.
	unsure bool
}

func (l *load) write(ctx context.Context, worker int) {
	const most, perUser = 10, 6
	r := chance(l.name+" writer", worker)
	var own []*mine
	made := 0
	l.each(ctx, func() {
		c := l.caller(r)
		at := 0
		if len(own) > 0 {
			at = r.IntN(len(own))
		}
		drop := func() { own = slices.Delete(own, at, at+1) }
		p := r.IntN(100)
		switch {
		case len(own) < 2 || p < 20 && len(own) < most:
			made++
			var lifetime time.Duration
			put := r.IntN(2) == 0
			if l.lifetime && !put && r.IntN(4) == 0 {
				lifetime = time.Second + rand.N(3*time.Second)
			}
			rec := c.create(fmt.Sprintf("s-%d-%d", worker, made), fmt.Sprintf("user-%d-%d", worker, made/perUser), put, lifetime)
			if rec.ref() != "" && rec.begun() {
				own = append(own, &mine{rec, put && !rec.isAcked()})
			}
		case own[at].unsure:
			if version, known := c.get(own[at].record, true); known && version > 0 {
				own[at].unsure = false
			} else if known && r.IntN(4) == 0 {
				drop()
			}
		case p < 65:
			if !c.set(own[at].record) {
				drop()
			}
		case p < 80 || len(own) >= most:
			if c.delete(own[at].record) {
				drop()
			}
		default:
			if version, known := c.get(own[at].record, true); known && version == 0 {
				drop()
			}
		}
	})
}

// begun says whether the session may have been created.
func (r *record) begun() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.writes) > 0
}

// isAcked says whether the session's creation was acknowledged.
func (r *record) isAcked() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.writes) > 0 && r.writes[0].acked
}

// isDeleted says whether a deletion of the session was acknowledged.
func (r *record) isDeleted() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.writes, func(w *write) bool { return w.acked && w.kind == deletes })
}

func (l *load) read(ctx context.Context, worker int) {
	r := chance(l.name+" reader", worker)
	l.each(ctx, func() {
		c := l.caller(r)
		sessions, recent := l.h.all()
		if r.IntN(3) > 0 && len(recent) > 0 {
			sessions = recent
		}
		if len(sessions) == 0 {
			return
		}
		l.look(c, r, sessions[r.IntN(len(sessions))])
	})
}

// look reads a session in one way or another.
func (l *load) look(c *caller, r *rand.Rand, rec *record) {
	switch p := r.IntN(100); {
	case p < 45:
		if tokens, numbers := rec.tokens(); len(tokens) > 0 {
			i := len(tokens) - 1
			if r.IntN(4) == 0 {
				i = r.IntN(len(tokens))
			}
			c.verify(rec, tokens[i], numbers[i])
		}
	case p < 65:
		c.get(rec, false)
	case p < 75:
		c.get(rec, true)
	default:
		c.search(rec.user, p >= 95, p%5 == 0)
	}
}
