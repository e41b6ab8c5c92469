// Package endpoint keeps the connections of one Redis address on the server that
// is the master there.
//
// An address is no server: a DNS name, a proxy, a Kubernetes Service, or what
// Sentinels name may lead to another server tomorrow, while connections that are
// open stay where they are; a balanced address leads to several at once. And a
// server that was a master yesterday may be a replica today, or a master that
// nobody else follows. Each of them answers reads as if nothing had happened.
//
// So every connection is asked, when it is made, who is at its other end (the run
// ID) and whether that is a master (identity). At most one server at a time is
// the current one: the master that the newest connection has reached. What goes
// over a connection to any other is refused (conn), both what is sent and what is
// answered. That the current one is a master still is asked every quarter of the
// bound, and an answer counts only while the last proof is younger than the bound;
// that the address leads to it still is asked by a new connection every three
// quarters of the bound (Run).
//
// Without the right to INFO nothing tells one server from another. Then each
// connection has a proof of its own, and lasts for half of the bound.
//
// This is not needed on a Redis Cluster, where each node refuses by itself what
// belongs to another, nor for connections that may go to replicas.
package endpoint

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// Endpoint is one address and the clients that connect to it. It is safe for
// concurrent use.
type Endpoint struct {
	bound time.Duration
	log   *slog.Logger
	start time.Time
	// name is what CLIENT LIST calls its own connection.
	name string
	// options say how to connect; they are those of the first client.
	options *redis.Options
	// lost are told of each server that stops to be the current one.
	lost []func()
	wake chan struct{}
	// saw is told what has happened, for tests.
	saw func(event string)

	// current is the one server that connections may lead to, the last one that was
	// met if servers do not tell their run IDs; nil if there is none.
	current atomic.Pointer[server]
	// doubts counts what speaks against servers without a run ID.
	doubts  atomic.Uint64
	running atomic.Bool
	changes atomic.Uint64

	mu sync.Mutex
	// news is closed, and made anew, whenever something has changed.
	news chan struct{}
	// past are the replication histories that a later master has continued under
	// another name: whoever still has one of them was replaced.
	past []string
	// why says why no master is proven; nil if one is, or none was looked for yet.
	why error
	// dialFault says why the last attempt of Run to connect failed; nil if it did not.
	dialFault error
	told      bool // a missing proof was logged
}

// server is one Redis process that connections have led to; without a run ID, it
// is what one connection has led to, for nothing tells that others do as well.
type server struct {
	identity
	doubts uint64 // Endpoint.doubts when it was first reached
	// until is the instant from which on it is not proven to be a master.
	until atomic.Int64

	// These are guarded by Endpoint.mu.

	// lastReached is when the newest connection that reached it was begun.
	lastReached instant
	// proven is when it was asked for its newest proof.
	proven instant
	// doubted is when it refused what a master does; older questions prove nothing.
	doubted instant
}

// instant is a point of this process' monotonic clock, in nanoseconds.
type instant int64

// always is later than every instant.
const always instant = 1<<63 - 1

// mostPast is how many histories are remembered: each is a failover.
const mostPast = 64

// New returns the endpoint of clients that are not used yet. bound is how old a
// proof may be; it must be positive. name is what CLIENT LIST calls Run's own
// connection. New starts no goroutine: Run does the work, and should run before
// the clients are used for longer than the bound.
func New(bound time.Duration, name string, log *slog.Logger) *Endpoint {
	return &Endpoint{bound: bound, name: name, log: log, start: time.Now(), saw: func(string) {}, wake: make(chan struct{}, 1), news: make(chan struct{})}
}

// Guard has c use this endpoint, and returns c. All clients of one endpoint must
// reach it in the same way. It must be called before c is used, and before Run.
func (e *Endpoint) Guard(c *redis.Client) *redis.Client {
	if e.options == nil {
		e.options = c.Options()
	}
	c.AddHook(&hook{e})
	return c
}

// OnLoss has f called whenever the current server turns out not to be the master,
// before anything is answered by another. f must return at once, and must not call
// the endpoint. It may be called at any time.
func (e *Endpoint) OnLoss(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lost = append(e.lost, f)
}

func (e *Endpoint) now() instant { return instant(time.Since(e.start)) }

// proves says that s is the current server and proven to be a master.
func (e *Endpoint) proves(s *server) bool {
	return e.stands(s) && int64(e.now()) < s.until.Load()
}

// stands says that connections may lead to s, whether it is proven now or not.
func (e *Endpoint) stands(s *server) bool {
	if s.isAnonymous() {
		return s.doubts == e.doubts.Load()
	}
	return e.current.Load() == s
}

// lasts says that an idle connection to s is worth to be used. One to a server
// without a run ID has a proof of its own, which nobody renews: it is used while
// that has half of the bound left.
func (e *Endpoint) lasts(s *server) bool {
	return e.stands(s) && (!s.isAnonymous() || int64(e.now()) < s.until.Load()-int64(e.bound/2))
}

// hold waits until s is proven to be the master. It fails at once if another
// server is, and at the deadline, or after the bound if there is none.
func (e *Endpoint) hold(s *server, deadline time.Time) error {
	if e.proves(s) {
		return nil
	}
	wait := e.bound
	if !deadline.IsZero() {
		wait = time.Until(deadline)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		e.mu.Lock()
		news := e.news
		e.mu.Unlock()
		switch {
		case e.proves(s):
			return nil
		case !e.stands(s):
			return e.refusal()
		case s.isAnonymous(): // nobody renews its proof
			return e.unproven(s)
		}
		e.nudge()
		select {
		case <-news:
		case <-timer.C:
			return e.unproven(s)
		}
	}
}

// unproven says that s has not proven to be the master for too long.
func (e *Endpoint) unproven(s *server) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.unprovenLocked(s)
}

// unprovenLocked is unproven with e.mu held.
func (e *Endpoint) unprovenLocked(s *server) error {
	text := fmt.Sprintf("%s has not said for %v that it is the master", s.name(), time.Duration(e.now()-s.proven).Round(time.Millisecond))
	if e.dialFault != nil {
		text += "; new connections fail: " + e.dialFault.Error()
	}
	return &timeoutError{&NoMasterError{text}}
}

// nudge has Run ask now.
func (e *Endpoint) nudge() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// tell lets everybody look again who waits. e.mu is held.
func (e *Endpoint) tell() {
	close(e.news)
	e.news = make(chan struct{})
}

// meet takes what a connection that was begun at an instant says of its other
// end. It returns the server if that is the current one now; it is proven as of
// when it was asked, at sent. Else the connection must not be used.
func (e *Endpoint) meet(who identity, begun, sent instant) (*server, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	was := e.current.Load()
	same := was != nil && was.runID == who.runID && was.provable == who.provable && !who.isAnonymous()
	switch {
	case !who.isMaster():
		err := &NoMasterError{who.refuses()}
		if same {
			e.drop(was, err)
		} else if was == nil {
			e.say(err)
		}
		return nil, err
	case same:
		was.lastReached = max(was.lastReached, begun)
		was.history, was.before = who.history, who.before // it may have been a replica for a moment
		e.renew(was, sent)
		return was, nil
	case who.isAnonymous():
		next := &server{identity: who, lastReached: begun, doubts: e.doubts.Load()}
		if was == nil || !was.isAnonymous() {
			e.log.Warn("it is not known which server answers, only that it calls itself a master, so that connections do not last: redis forbids INFO", "redis", next.name())
		}
		e.current.Store(next)
		e.renew(next, sent)
		return next, nil
	case was != nil && (begun < was.lastReached || e.replaced(was, who)):
		return nil, &NoMasterError{fmt.Sprintf("%s was replaced by %s as the master", who.name(), was.name())}
	}
	next := &server{identity: who, lastReached: begun}
	if was != nil {
		if next.before == was.history && was.history != "" {
			e.past = append(e.past, was.history)
			e.past = e.past[max(len(e.past)-mostPast, 0):]
		}
		e.log.Warn("another redis is the master now: connections to the one before are given up", "master", next.name(), "before", was.name())
		e.leave()
	}
	if !next.provable && !next.isOther() {
		e.log.Warn("nothing proves that a master answers: redis forbids HELLO, ROLE and INFO", "redis", next.name())
	}
	e.current.Store(next)
	e.renew(next, sent)
	return next, nil
}

// replaced says that a server, who, calls itself a master, and that the current one, or one
// before it, has taken its place: a promoted replica goes on with the history of
// its master under a new name, and remembers the old one. It holds as long as the
// current one is there: if that has been silent for long, somebody has gone back
// to the one before. e.mu is held.
func (e *Endpoint) replaced(current *server, who identity) bool {
	there := !current.provable || e.now()-current.proven < 2*instant(e.bound)
	return there && who.history != "" && (who.history == current.before || slices.Contains(e.past, who.history))
}

// renew takes a proof that was asked for at sent. e.mu is held.
func (e *Endpoint) renew(s *server, sent instant) {
	if sent < s.doubted {
		return
	}
	s.proven = max(s.proven, sent)
	until := s.proven + instant(e.bound)
	if !s.provable {
		until = always
	}
	s.until.Store(int64(until))
	if until <= e.now() { // the answer came so late that it proves nothing any more
		return
	}
	e.why = nil
	if e.told {
		e.told = false
		e.log.Info("redis proves to be the master", "redis", s.name())
	}
	e.tell()
}

// drop ends the trust in s, if it is the current server. e.mu is held.
func (e *Endpoint) drop(s *server, why error) {
	if s == nil || e.current.Load() != s {
		return
	}
	e.doubts.Add(1)
	e.leave()
	e.current.Store(nil)
	e.say(why)
	e.tell()
}

// leave tells that the current server is left. e.mu is held.
func (e *Endpoint) leave() {
	e.changes.Add(1)
	for _, f := range e.lost {
		f()
	}
}

// say notes why no master is proven, and logs it the first time. e.mu is held.
func (e *Endpoint) say(why error) {
	e.why = why
	if !e.told {
		e.told = true
		e.log.Warn("redis is not used until a master is proven: reads and writes are refused", "error", why)
	}
}

// distrust takes back the proof of the current server, which has refused what a
// master does: it must prove itself before anything else is sent or answered.
func (e *Endpoint) distrust() {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.current.Load()
	switch {
	case s == nil:
		return
	case s.provable && !s.isAnonymous():
		s.doubted = e.now()
		s.until.Store(int64(s.doubted))
	default: // it is not asked again: everything is dialled anew
		e.doubts.Add(1)
		e.leave()
		e.current.Store(nil)
		e.tell()
	}
	e.nudge()
}

// refusal says why there is no current server, or not the one that was asked.
func (e *Endpoint) refusal() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.why != nil {
		return e.why
	}
	return &NoMasterError{"the server at the other end of this connection is not the master any more"}
}

// Err says why no master is proven, nil if one is. A nil Endpoint has no fault.
func (e *Endpoint) Err() error {
	if e == nil {
		return nil
	}
	s := e.current.Load()
	if s != nil && e.proves(s) {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case s != nil:
		return e.unprovenLocked(s)
	case e.why != nil:
		return e.why
	case e.dialFault != nil:
		return &NoMasterError{e.dialFault.Error()}
	}
	return &NoMasterError{"no master has been reached yet"}
}

// State says in a few words how it is, for people.
func (e *Endpoint) State() string {
	if err := e.Err(); err != nil {
		return err.Error()
	}
	s := e.current.Load()
	if s == nil {
		return "no master"
	}
	text := "master " + s.name()
	unproven, failing := e.Doubts()
	if unproven != "" {
		text += ", " + unproven
	}
	if failing != "" {
		text += "; new connections fail: " + failing
	}
	return text
}

// Doubts returns what keeps the current server from being proven all the time, and why new connections to it fail; each is "" if
// nothing does. A nil Endpoint has no doubts.
func (e *Endpoint) Doubts() (unproven, failing string) {
	if e == nil {
		return "", ""
	}
	if s := e.current.Load(); s != nil {
		switch {
		case !s.provable:
			unproven = "not proven: redis forbids HELLO, ROLE and INFO"
		case s.runID == "":
			unproven = "by its own word: without INFO servers cannot be told apart, and each connection is proven by itself and made anew after half of the bound"
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.dialFault != nil {
		failing = e.dialFault.Error()
	}
	return unproven, failing
}

// Changes is how often the current server stopped to be the master.
func (e *Endpoint) Changes() uint64 { return e.changes.Load() }

// NoMasterError says that a command was not sent, or its answer not taken,
// because nothing proves that a master would get it, or has given it.
type NoMasterError struct{ why string }

func (e *NoMasterError) Error() string { return e.why }

// timeoutError is a NoMasterError because a server has not answered in time.
type timeoutError struct{ *NoMasterError }

// Unwrap returns the NoMasterError.
func (e *timeoutError) Unwrap() error { return e.NoMasterError }

// Timeout and Temporary say, as net.Error, that it is one of the server: a breaker counts it.
func (*timeoutError) Timeout() bool   { return true }
func (*timeoutError) Temporary() bool { return true }

// connect makes a connection as the clients do.
func (e *Endpoint) connect(ctx context.Context) (net.Conn, error) {
	return e.options.Dialer(ctx, e.options.Network, e.options.Addr)
}
