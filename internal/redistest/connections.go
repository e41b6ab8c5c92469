package redistest

import (
	"bytes"
	"math/rand/v2"
	"time"
)

// Connections says which connections the faults of a Proxy are for.
type Connections uint8

const (
	// TrackingConnections are those that ask for invalidations: what their client sends first has CLIENT TRACKING in it, or
	// gives them a name that ends in "-invalidation".
	TrackingConnections Connections = 1 << iota
	// DataConnections are all others.
	DataConnections
	// AllConnections are both.
	AllConnections = TrackingConnections | DataConnections
)

// greeting is how many pieces of a connection tell whether it tracks.
const greeting = 4

// greeted looks at a piece of what the client sends.
func (l *pair) greeted(b []byte) {
	if l.pieces >= greeting {
		return
	}
	l.pieces++
	if bytes.Contains(b, []byte("-invalidation")) || bytes.Contains(b, []byte("TRACKING")) {
		l.tracking.Store(true)
	}
}

// Only restricts all faults but Refuse to some connections, from now on; AllConnections, the default, lifts that. It is for a
// proxy without faults: what is held stays held.
func (p *Proxy) Only(which Connections) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.which = which
}

// Jitter holds each piece of bytes, in both directions, for a random time below d before it passes.
func (p *Proxy) Jitter(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.jitter = d
}

// Mute passes requests to the server, which runs them, and holds what it answers, as a network that has lost one of its
// directions; Mute(false) passes what has been held, and goes on. Connections are accepted all the while.
func (p *Proxy) Mute(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.muted = on
	p.holding()
}

// Tracking returns how many tracking connections there are.
func (p *Proxy) Tracking() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for l := range p.pairs {
		if l.tracking.Load() {
			n++
		}
	}
	return n
}

// holding makes or closes the channel that what is held waits for. p.mu is held.
func (p *Proxy) holding() {
	switch on := p.stalled || p.muted; {
	case on && p.unstalled == nil:
		p.unstalled = make(chan struct{})
	case on: // what waits for another fault looks again
		close(p.unstalled)
		p.unstalled = make(chan struct{})
	case p.unstalled != nil:
		close(p.unstalled)
		p.unstalled = nil
	}
}

// hits says whether the faults are for a pair. p.mu is held.
func (p *Proxy) hits(l *pair) bool {
	if l.tracking.Load() {
		return p.which&TrackingConnections != 0
	}
	return p.which&DataConnections != 0
}

// lateness is how long a request of a pair is held. p.mu is held.
func (p *Proxy) lateness(l *pair) time.Duration {
	if !p.hits(l) {
		return 0
	}
	return p.delay
}

// wobble is how long a piece of bytes is held in addition. p.mu is held.
func (p *Proxy) wobble(l *pair) time.Duration {
	if p.jitter == 0 || !p.hits(l) {
		return 0
	}
	return rand.N(p.jitter)
}

// late holds a reply for its jitter, and reports whether the pair still lives.
func (p *Proxy) late(l *pair) bool {
	p.mu.Lock()
	d := p.wobble(l)
	p.mu.Unlock()
	return d == 0 || l.wait(d)
}
