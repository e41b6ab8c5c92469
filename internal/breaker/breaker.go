// Package breaker keeps calls from waiting for a Redis that is away. Each server
// has a breaker: a few failures in a row open it, and then every call to that
// server fails at once with ErrOpen. A moment later one call is let through. If
// it succeeds, all are again; if not, the next moment begins.
package breaker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/sony/gobreaker/v2"
)

const (
	// opensAfter is how many failures in a row open a breaker. Of a server that
	// is silent a pair of batches fails together.
	opensAfter = 3
	// rest is how long an open breaker lets nothing through; then one call at a time.
	rest = 250 * time.Millisecond
	// forgotten is how long nobody has called a server that counts no more: a
	// cluster has left it behind.
	forgotten = time.Minute
)

// ErrOpen says that a call was not sent, because the calls before it failed.
var ErrOpen = errors.New("redis is away: its last calls failed, so this one was not sent")

// Breakers are the breakers of all servers of one store, by address or name. They are
// safe for concurrent use.
type Breakers struct {
	log *slog.Logger
	// armed says that they do their work: until then nothing is counted and
	// nothing refused.
	armed   atomic.Bool
	trips   atomic.Uint64
	refused atomic.Uint64

	mu    sync.Mutex
	nodes map[string]*node
}

// New returns breakers that do nothing until Arm is called.
func New(log *slog.Logger) *Breakers {
	return &Breakers{log: log, nodes: map[string]*node{}}
}

// Arm has the breakers do their work from now on. Before, while a store is
// opened, only the calls that open it wait.
func (b *Breakers) Arm() { b.armed.Store(true) }

// Guard puts the breaker of c's server before all of c's calls, and returns c.
// Clients of one server share its breaker. It must be called before c is used.
// For a cluster it is called for the client of each of its nodes.
func (b *Breakers) Guard(c *redis.Client) *redis.Client { return b.GuardAs(c.Options().Addr, c) }

// GuardAs is Guard for a client that goes where others tell it to, and has no
// address of its own: those with one name share a breaker.
func (b *Breakers) GuardAs(name string, c *redis.Client) *redis.Client {
	c.AddHook(&guard{b, b.nodeAt(name), name})
	return c
}

// Stats are what the breakers tell of themselves.
type Stats struct {
	// Open are the addresses, or names, of the servers that count as away.
	Open []string
	// Trips is how often a breaker has opened, Refused how many calls an open
	// one has not let through.
	Trips, Refused uint64
}

// Stats returns what the breakers tell of themselves.
func (b *Breakers) Stats() Stats {
	s := Stats{Trips: b.trips.Load(), Refused: b.refused.Load()}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for addr, n := range b.nodes {
		if n.away.Load() && now.Sub(n.lastCall()) < forgotten {
			s.Open = append(s.Open, addr)
		}
	}
	return s
}

// node is one server.
type node struct {
	circuit *gobreaker.TwoStepCircuitBreaker[struct{}]
	away    atomic.Bool // from the first opening until it closes
	called  atomic.Int64
	connecting
}

func (n *node) lastCall() time.Time { return time.Unix(0, n.called.Load()) }

func (b *Breakers) nodeAt(addr string) *node {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n, ok := b.nodes[addr]; ok {
		return n
	}
	now := time.Now()
	for old, n := range b.nodes { // so that they do not become more and more
		if now.Sub(n.lastCall()) > forgotten {
			delete(b.nodes, old)
		}
	}
	n := &node{}
	n.called.Store(now.UnixNano())
	n.circuit = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Timeout:      rest,
		ReadyToTrip:  func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= opensAfter },
		IsSuccessful: func(err error) bool { return err == nil },
		IsExcluded:   func(err error) bool { return errors.Is(err, errNothingShown) },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			b.changed(n, addr, to)
		},
	})
	b.nodes[addr] = n
	return n
}

// changed tells of a change, once however often it is tried in between.
func (b *Breakers) changed(n *node, addr string, to gobreaker.State) {
	switch {
	case to == gobreaker.StateOpen && n.away.CompareAndSwap(false, true):
		b.trips.Add(1)
		text := "redis is away: calls are refused until it answers again"
		if isFull(n.lastFault()) {
			text = "redis takes no connections: calls are refused until it does; raise maxclients, or have fewer clients"
		}
		b.log.Warn(text, "redis", addr, "error", n.lastFault())
	case to == gobreaker.StateClosed && n.away.CompareAndSwap(true, false):
		b.log.Info("redis answers again", "redis", addr)
	}
}

// guard is the hook that asks a breaker before each call, and tells it after.
type guard struct {
	all  *Breakers
	node *node
	name string
}

// inside is the key of the attempt in the context of a call that was let through:
// what it needs on its way, such as the greeting of a new connection, is a part of it.
type inside struct{}

// ProcessHook implements redis.Hook.
func (g *guard) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		return g.do(ctx, func(ctx context.Context) error { return next(ctx, cmd) })
	}
}

// ProcessPipelineHook implements redis.Hook.
func (g *guard) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := g.do(ctx, func(ctx context.Context) error { return next(ctx, cmds) })
		if err == ErrOpen {
			for _, cmd := range cmds {
				cmd.SetErr(err)
			}
		}
		return err
	}
}

func (g *guard) do(ctx context.Context, send func(context.Context) error) (err error) {
	if !g.all.armed.Load() {
		return send(ctx)
	}
	if a, ok := ctx.Value(inside{}).(*attempt); ok && a.node == g.node {
		err := send(ctx)
		a.greeted(err)
		return err
	}
	start := time.Now()
	g.node.called.Store(start.UnixNano())
	done, err := g.node.circuit.Allow()
	if err != nil {
		g.all.refused.Add(1)
		return ErrOpen
	}
	shown := errNothingShown // if send panics
	defer func() { done(shown) }()
	err = g.connected(ctx, start, send)
	shown = g.node.note(verdict(ctx, err, time.Since(start)), err)
	return err
}
