package endpoint

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/resp"
)

const (
	// patience is how long a question, or a new connection, may take at least.
	patience = time.Second
	// restAfterNudge is how long Run rests after it was asked to hurry, so that no
	// crowd of callers makes it ask without end.
	restAfterNudge = 10 * time.Millisecond
)

// eventConnected says that Run has a new connection of its own.
const eventConnected = "connected"

// prover keeps the proofs of an endpoint young. It belongs to one goroutine.
type prover struct {
	e *Endpoint
	// conn is the newest connection that reached the current server, and of that
	// server; nil if there is none.
	conn *asked
	of   *server

	dialing bool
	dialed  instant // when the newest connection was begun
	results chan result
	dials   sync.WaitGroup
}

// result is what became of a new connection; conn is nil if it must not be used.
type result struct {
	conn *asked
	of   *server
}

// Run keeps the proofs young until ctx ends, and returns nil then. It has one
// connection of its own, and a second one for a moment when it makes that anew.
//
// A new connection that fails proves nothing: those that are open may go on, for
// example while the server takes no further ones. So what an address leads to is
// known only while connections can be made.
func (e *Endpoint) Run(ctx context.Context) error {
	p := &prover{e: e, results: make(chan result)}
	e.running.Store(true)
	defer e.running.Store(false)
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		go func() { p.dials.Wait(); close(p.results) }()
		for r := range p.results { // I7
			closeConn(r.conn)
		}
		closeConn(p.conn)
	}()
	ticker := time.NewTicker(max(e.bound/4, time.Millisecond))
	defer ticker.Stop()
	p.step(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case r := <-p.results:
			p.dialing = false
			if r.conn != nil {
				closeConn(p.conn)
				p.conn, p.of = r.conn, r.of
				e.saw(eventConnected)
			}
			continue
		case <-ticker.C:
		case <-e.wake:
			rest := time.NewTimer(restAfterNudge)
			defer rest.Stop()
			p.dialed = 0 // what refused a write may not be where the address leads to any more
			p.step(ctx)
			select {
			case <-ctx.Done():
			case <-rest.C:
			}
			continue
		}
		p.step(ctx)
	}
}

// step asks, and connects anew if that is due.
func (p *prover) step(ctx context.Context) {
	e := p.e
	current := e.current.Load()
	if p.conn != nil && p.of != current {
		closeConn(p.conn)
		p.conn = nil
	}
	// With a tick every quarter of the bound, this is every third, whether that comes
	// a little early or late.
	if !p.dialing && (p.conn == nil || e.now()-p.dialed >= instant(e.bound/8*5)) {
		p.dialing, p.dialed = true, e.now()
		p.dials.Go(func() {
			r := p.dial(ctx)
			select {
			case p.results <- r:
			case <-ctx.Done():
				closeConn(r.conn)
			}
		})
	}
	if p.conn != nil {
		p.ask(ctx)
	}
	if current = e.current.Load(); current != nil && !e.proves(current) {
		e.mu.Lock()
		e.say(e.silent(current))
		e.mu.Unlock()
	}
}

// ask asks the current server whether it is a master still.
func (p *prover) ask(ctx context.Context) {
	e := p.e
	ctx, cancel := context.WithTimeout(ctx, max(e.bound, patience))
	defer cancel()
	sent := e.now()
	master, err := p.conn.again(ctx)
	_, answered := errors.AsType[resp.ReplyError](err)
	if err != nil && (!answered || p.of.provable) {
		closeConn(p.conn)
		p.conn = nil // proofs grow old by themselves; the next step connects
		e.nudge()
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.current.Load() != p.of: // a connection has met another one meanwhile
	case master || !p.of.provable:
		e.renew(p.of, sent)
	default:
		e.drop(p.of, &NoMasterError{p.of.addr + " is no master any more"})
		e.nudge()
	}
}

// dial makes a new connection and asks who is there.
func (p *prover) dial(ctx context.Context) (r result) {
	e := p.e
	ctx, cancel := context.WithTimeout(ctx, max(e.bound, patience))
	defer cancel()
	begun := e.now()
	c, err := e.connect(ctx)
	if err == nil {
		sent := e.now()
		var who identity
		if r.conn, who, err = e.ask(ctx, c); err == nil {
			r.of, err = e.meet(who, begun, sent)
		}
		if err != nil {
			r.conn = nil
			_ = c.Close()
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dialFault = err
	if err != nil && e.current.Load() == nil && e.why != nil {
		if _, no := err.(*NoMasterError); !no { // it is another fault now, which callers should meet themselves
			e.why = nil
		}
	}
	return r
}

func closeConn(c *asked) {
	if c != nil {
		_ = c.Close()
	}
}
