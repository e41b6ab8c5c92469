package redistest

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy is a TCP proxy on loopback between a client and a server, whose methods play the faults of a network. It is
// transparent until told otherwise. Its methods may be called concurrently.
type Proxy struct {
	// Addr is where it listens, "127.0.0.1:port". It stays the same over Refuse.
	Addr string

	t   testing.TB
	ctx context.Context // ends with the proxy
	wg  sync.WaitGroup  // accept loops and connections (I7)

	mu        sync.Mutex
	targets   []string // where new connections go, in turn
	turn      int
	listener  net.Listener // nil while connections are refused
	pairs     map[*pair]struct{}
	which     Connections // whom the faults are for
	delay     time.Duration
	jitter    time.Duration
	stalled   bool
	muted     bool          // stalled towards clients only
	unstalled chan struct{} // closed when nothing is held any more; a new one for each time that something is
	dropReply bool          // the next bytes towards the server are the request whose reply is lost
	cutArmed  bool
	cutAfter  int // bytes towards the server that still pass, if cutArmed
	accepted  int
}

// NewProxy starts a proxy to target, "host:port". Its connections are cut, and its goroutines waited for, at the end of t.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &Proxy{Addr: FreeAddr(t), t: t, targets: []string{target}, ctx: ctx, pairs: map[*pair]struct{}{}, which: AllConnections}
	t.Cleanup(func() {
		p.Refuse(true)
		cancel()
		p.Only(AllConnections)
		p.CutAll()
		p.wg.Wait() // I7
	})
	p.Refuse(false)
	return p
}

// Lead has new connections go to other servers from now on, in turn if there are several, as an address does that has
// moved, or that is balanced; those that exist stay where they are.
func (p *Proxy) Lead(targets ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.targets, p.turn = targets, 0
}

// next returns where the next connection goes.
func (p *Proxy) next() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn++
	return p.targets[(p.turn-1)%len(p.targets)]
}

// Delay holds each piece of bytes towards the server for d before it passes: every request is late by at least d.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Stall keeps connections open, accepts new ones, and passes nothing in either direction; Stall(false) passes what
// has been held, and goes on.
func (p *Proxy) Stall(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = on
	p.holding()
}

// Refuse makes new connections fail with "connection refused"; those that exist go on (see CutAll). Refuse(false)
// accepts them again, at the same address.
func (p *Proxy) Refuse(on bool) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ctx.Err() != nil || on == (p.listener == nil):
	case on:
		closeListener(p.listener)
		p.listener = nil
	default:
		l, err := net.Listen("tcp", p.Addr)
		if err != nil {
			p.t.Errorf("redistest: proxy: %v", err)
			return
		}
		p.listener = l
		p.wg.Go(func() { p.accept(l) })
	}
}

// CutAll resets all connections now, on both sides. New ones are accepted.
func (p *Proxy) CutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.pairs {
		if p.hits(l) {
			l.reset()
		}
	}
}

// Accepted returns how many connections have been accepted.
func (p *Proxy) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// DropReplies passes the next request to the server, swallows its reply, and cuts that connection: the lost reply. The
// client learns of the cut only after the server has run all that the connection brought it. Later requests are answered.
// Whatever the server sends counts as the reply, a push message too.
func (p *Proxy) DropReplies() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropReply = true
}

// CutAfter passes exactly n more bytes towards the server, counted over all connections, and then cuts the connection that
// brought the last of them; for n = 0 the one that brings the next. The client learns of the cut only after the server
// has run what reached it, and gets no reply to that. Later bytes, on other connections, pass.
func (p *Proxy) CutAfter(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutArmed, p.cutAfter = true, n
}

func (p *Proxy) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.listener == listener { // nobody closed it
				p.t.Errorf("redistest: proxy: %v", err)
			}
			return
		}
		p.mu.Lock()
		p.accepted++
		p.mu.Unlock()
		p.wg.Go(func() { p.serve(client.(*net.TCPConn)) })
	}
}

// serve passes bytes between one client and the server until either side ends, or a fault does.
func (p *Proxy) serve(client *net.TCPConn) {
	var dialer net.Dialer
	server, err := dialer.DialContext(p.ctx, "tcp", p.next())
	if err != nil {
		_ = client.SetLinger(0)
		client.Close() // the client sees a reset
		return
	}
	l := newPair(client, server.(*net.TCPConn))
	defer l.reset()
	if !p.register(l) {
		return
	}
	defer p.unregister(l)
	var requests sync.WaitGroup
	requests.Go(func() { p.pumpRequests(l) })
	p.pumpReplies(l)
	requests.Wait() // I7
}

func (p *Proxy) register(l *pair) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil {
		return false
	}
	p.pairs[l] = struct{}{}
	return true
}

func (p *Proxy) unregister(l *pair) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.pairs, l)
}

// pumpRequests passes what the client sends, as far as the faults let it. At its end the server sees the end of its input
// and, when it has run what it got, closes the connection; that ends pumpReplies, and with it the link.
func (p *Proxy) pumpRequests(l *pair) {
	defer func() { _ = l.server.CloseWrite() }()
	buf := make([]byte, 32<<10)
	for {
		n, err := l.client.Read(buf)
		l.greeted(buf[:n])
		if n > 0 && !p.toServer(l, buf[:n]) || err != nil {
			return
		}
	}
}

// toServer passes one piece of a request and reports whether more may follow.
func (p *Proxy) toServer(l *pair, b []byte) bool {
	if !p.hold(l, false) {
		return false
	}
	p.mu.Lock()
	hit := p.hits(l)
	delay, sever := p.lateness(l)+p.wobble(l), false
	if p.dropReply && hit {
		p.dropReply = false
		l.lost.Store(true)
	}
	if p.cutArmed && hit {
		if sever = len(b) >= p.cutAfter; sever {
			b, p.cutArmed = b[:p.cutAfter], false
			l.lost.Store(true)
		}
		p.cutAfter -= len(b)
	}
	p.mu.Unlock()
	if delay > 0 && !l.wait(delay) {
		return false
	}
	_, err := l.server.Write(b)
	return err == nil && !sever
}

// pumpReplies passes what the server sends until it closes the connection. When replies are lost, it reads on for nothing
// until the server has run everything, and only then resets the client.
func (p *Proxy) pumpReplies(l *pair) {
	defer l.reset()
	buf := make([]byte, 32<<10)
	for {
		n, err := l.server.Read(buf)
		switch {
		case l.lost.Load():
			_ = l.server.CloseWrite() // so that the server ends it after what it has got
		case n > 0:
			if !p.hold(l, true) || !p.late(l) {
				return
			}
			if _, err := l.client.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) && !l.lost.Load() {
				l.close()
			}
			return
		}
	}
}

// hold waits while the proxy is stalled in a direction. It reports whether the pair still lives.
func (p *Proxy) hold(l *pair, reply bool) bool {
	for {
		p.mu.Lock()
		stalled, unstalled := (p.stalled || p.muted && reply) && p.hits(l), p.unstalled
		p.mu.Unlock()
		if !stalled {
			return true
		}
		select {
		case <-unstalled:
		case <-l.ended:
			return false
		}
	}
}
