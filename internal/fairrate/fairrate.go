// Package fairrate gives out permits at a rate. Who finds none waits, and those who wait are served in turn by the network
// that they are in, so that a client that asks for many only makes itself wait.
package fairrate

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

var (
	// ErrFull says that too many wait already: of this client, or in all.
	ErrFull = errors.New("too many wait")
	// ErrClosed says that the limiter was closed.
	ErrClosed = errors.New("the limiter is closed")
)

// Config says what a Limiter gives out. All of it is required.
type Config struct {
	// PerSecond is how many permits there are a second, and Burst how many at once after a time without callers. In any t
	// seconds there are PerSecond × t + Burst at most.
	PerSecond, Burst int
	// Waiting is how many callers wait at most, and WaitingOfOne how many of one client.
	Waiting, WaitingOfOne int
	// Now is the clock; New does not ask it.
	Now func() time.Time
}

// Limiter gives out permits. It is safe for concurrent use. Close ends what it has started.
type Limiter struct {
	config Config
	stop   chan struct{}
	// running is the goroutine that serves those who wait, while somebody does. (I7)
	running sync.WaitGroup

	mu      sync.Mutex
	permits float64
	at      time.Time // when permits was right; zero before the first caller
	line    *queue
	serving bool
	closed  bool
	stats   Stats
}

// Stats are counts since the start.
type Stats struct {
	// Given are permits, Refused callers that got none: too many waited, or they did not wait long enough.
	Given, Refused uint64
	// Waiting is how many wait now.
	Waiting int
}

// New returns a Limiter that has a whole burst to give. It starts no goroutine before somebody waits.
func New(c Config) *Limiter {
	return &Limiter{config: c, stop: make(chan struct{}), permits: float64(c.Burst), line: newLine()}
}

// Take returns when the client has a permit. Its error is ErrFull, ErrClosed, or that of ctx.
// client is the network that counts as one client: all with the zero Prefix are one.
func (l *Limiter) Take(ctx context.Context, client netip.Prefix) error {
	w, err := l.wait(ctx, client)
	if w == nil {
		return err
	}
	select {
	case <-w.served:
		return w.err
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case w.of != nil:
		l.line.remove(w)
		l.stats.Refused++
	case w.err == nil: // it came too late: it is the next one's
		l.permits++
		l.stats.Given--
		l.stats.Refused++
		l.serve()
	}
	return ctx.Err()
}

// wait takes a permit if there is one, or gets in line; w is nil if there is nothing to wait for.
func (l *Limiter) wait(ctx context.Context, client netip.Prefix) (w *waiter, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return nil, ErrClosed
	case ctx.Err() != nil:
		l.stats.Refused++
		return nil, ctx.Err()
	}
	l.refill()
	if l.line.waiting == 0 && l.permits >= 1 {
		l.permits--
		l.stats.Given++
		return nil, nil
	}
	of := l.line.of(client)
	if of.waiting >= l.config.WaitingOfOne || l.line.waiting >= l.config.Waiting && !l.makeRoom(of) {
		of.prune()
		l.stats.Refused++
		return nil, fmt.Errorf("%w for a permit", ErrFull)
	}
	w = of.add()
	if !l.serving {
		l.serving = true
		l.running.Go(l.serveWhileNeeded)
	}
	return w, nil
}

// makeRoom sends somebody away for one more of a client, if that still has no more in line then than those have: of the
// network, and of its client, that have most, it is the last one to come.
func (l *Limiter) makeRoom(of *queue) bool {
	network := l.line.longest()
	client := network.longest()
	mine, most := of.above.waiting, network.waiting
	if of.above == network {
		mine, most = of.waiting, client.waiting
	}
	if mine+1 >= most {
		return false
	}
	last := client.members.Back().Value.(*waiter)
	l.line.remove(last)
	l.stats.Refused++
	last.end(fmt.Errorf("%w for a permit", ErrFull))
	return true
}

// refill adds the permits that have come since the last time. A clock that is put back adds none.
func (l *Limiter) refill() {
	now := l.config.Now()
	if passed := now.Sub(l.at); passed > 0 {
		l.permits = min(l.permits+passed.Seconds()*float64(l.config.PerSecond), float64(l.config.Burst))
	}
	l.at = now
}

// serve gives the permits that there are to those who wait.
func (l *Limiter) serve() {
	for l.permits >= 1 && l.line.waiting > 0 {
		l.permits--
		l.stats.Given++
		l.line.next().end(nil)
	}
}

// serveWhileNeeded serves who waits, until nobody does.
func (l *Limiter) serveWhileNeeded() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-l.stop:
			return
		}
		l.mu.Lock()
		l.refill()
		l.serve()
		if l.line.waiting == 0 {
			l.serving = false
			l.mu.Unlock()
			return
		}
		left := time.Duration((1 - l.permits) / float64(l.config.PerSecond) * float64(time.Second))
		l.mu.Unlock()
		timer.Reset(max(left, time.Millisecond))
	}
}

// Stats returns what was given and refused.
func (l *Limiter) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	stats := l.stats
	stats.Waiting = l.line.waiting
	return stats
}

// Close sends away all who wait, and gives out nothing more.
func (l *Limiter) Close() {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.stop)
		for l.line.waiting > 0 {
			l.line.next().end(ErrClosed)
		}
	}
	l.mu.Unlock()
	l.running.Wait()
}
