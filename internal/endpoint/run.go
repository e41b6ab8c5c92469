package endpoint

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/resp"
)

const (
	// patience is how long a question, or a new connection, may take.
	patience = time.Second
	// soonest is how soon at least the address is looked at again while no master is
	// proven, and how soon at most because somebody asks for it.
	soonest = 250 * time.Millisecond
	// restAfterNudge is how long Run rests after it was asked to hurry, so that no
	// great number of callers makes it ask without end.
	restAfterNudge = 10 * time.Millisecond
)

// eventConnected says that Run has a new connection of its own.
const eventConnected = "connected"

// Run keeps the proofs young until ctx ends, and returns nil then. It has one
// connection of its own, and a second one for a moment when it makes that anew.
//
// A new connection that fails proves nothing: those that are open may go on, for
// example while the server takes no further ones. So what an address leads to is
// known only while connections can be made.
func (e *Endpoint) Run(ctx context.Context) error {
	e.running.Store(true)
	defer e.running.Store(false)
	p := &prover{e: e, fresh: make(chan reached, 1), hurry: make(chan struct{}, 1)}
	var group sync.WaitGroup // I7
	group.Go(func() { p.look(ctx) })
	group.Go(func() { p.ask(ctx) })
	group.Wait()
	select {
	case r := <-p.fresh:
		_ = r.conn.Close()
	default:
	}
	return nil
}

// prover keeps the proofs of an endpoint young: one goroutine looks where the
// address leads to, and another asks the server that it has led to.
type prover struct {
	e     *Endpoint
	fresh chan reached  // the newest connection, if the other has not taken it yet
	hurry chan struct{} // has look look sooner
}

// reached is a connection that has reached the current server.
type reached struct {
	conn *asked
	of   *server
}

// look connects anew every three quarters of the bound, and sooner while no
// master is proven.
func (p *prover) look(ctx context.Context) {
	e := p.e
	least := min(e.bound/4, soonest)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		begun := e.now()
		p.dial(ctx)
		next := begun + instant(e.bound/4*3)
		if e.Err() != nil {
			next = begun + instant(least)
		}
		for waiting := true; waiting; {
			timer.Reset(time.Duration(next - e.now()))
			select {
			case <-ctx.Done():
				return
			case <-p.hurry: // what refused a write may not be where the address leads to any more
				next = min(next, begun+instant(least))
			case <-timer.C:
				waiting = false
			}
		}
	}
}

// dial makes a new connection, asks who is there, and hands it on if that is the
// current server.
func (p *prover) dial(ctx context.Context) {
	e := p.e
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	begun := e.now()
	c, err := e.connect(ctx)
	if err == nil {
		sent := e.now()
		var r reached
		var who identity
		if r.conn, who, err = e.ask(ctx, c); err == nil {
			r.of, err = e.meet(who, begun, sent)
		}
		if err == nil {
			select {
			case old := <-p.fresh:
				_ = old.conn.Close()
			default:
			}
			p.fresh <- r
		} else {
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
}

// ask asks the server that the newest connection has reached, every quarter of the
// bound and whenever somebody waits for a proof.
func (p *prover) ask(ctx context.Context) {
	e := p.e
	var mine reached
	leave := func() {
		if mine.conn != nil {
			_ = mine.conn.Close()
			mine = reached{}
		}
	}
	defer leave()
	ticker := time.NewTicker(max(e.bound/4, time.Millisecond))
	defer ticker.Stop()
	rest := time.NewTimer(0)
	defer rest.Stop()
	wake := e.wake // nil while it rests
	for {
		select {
		case <-ctx.Done():
			return
		case <-rest.C:
			wake = e.wake
			continue
		case r := <-p.fresh:
			leave()
			mine = r
			e.saw(eventConnected)
			continue
		case <-ticker.C:
		case <-wake:
			p.hasten()
		}
		if mine.conn != nil && (e.current.Load() != mine.of || !p.question(ctx, mine)) {
			leave()
		}
		if mine.conn == nil {
			p.hasten()
		}
		if s := e.current.Load(); s != nil && !e.proves(s) {
			e.mu.Lock()
			e.say(e.unprovenLocked(s))
			e.mu.Unlock()
		}
		wake = nil
		rest.Reset(restAfterNudge)
	}
}

// hasten has the address be looked at soon.
func (p *prover) hasten() {
	select {
	case p.hurry <- struct{}{}:
	default:
	}
}

// question asks once whether the server is a master still. It returns false if
// the connection is of no use any more: proofs grow old by themselves.
func (p *prover) question(ctx context.Context, r reached) bool {
	e := p.e
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	sent := e.now()
	master, err := r.conn.again(ctx)
	_, answered := errors.AsType[resp.ReplyError](err)
	if err != nil && (!answered || r.of.provable) {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	none := &NoMasterError{r.of.name() + " is no master any more"}
	switch {
	case !master && r.of.isAnonymous(): // other connections may lead there, too
		e.drop(e.current.Load(), none)
	case e.current.Load() != r.of: // a connection has met another one meanwhile
	case master || !r.of.provable:
		e.renew(r.of, sent)
		return true
	default:
		e.drop(r.of, none)
	}
	return false
}
