package cache

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache/near"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

func TestI4_LinkKilled(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		server := redistest.Start(t)
		proxy := redistest.NewProxy(t, server.Addr)
		a, b := startNear(t, server.Client(t), 1), startNear(t, server.Client(t), 1, through(proxy))
		a.put(sessionOf("1", "u", 1))
		b.settle()
		b.want("1", 1, false)
		b.want("1", 1, true)
		if m := b.NearStats().Masters; len(m) != 1 || m[0].Address != proxy.Addr || !m[0].Linked || m[0].ProofAge != 0 || m[0].Lag < 0 {
			t.Errorf("linked: %+v", m)
		}
		proxy.Refuse(true)
		b.during("flush", proxy.CutAll)
		if b.NearStats().Linked || b.usable() {
			t.Fatal("copies are used without a link")
		}
		if m := b.NearStats().Masters; !slices.Equal(m, []near.MasterStats{{Address: proxy.Addr, ProofAge: -1, Lag: -1}}) {
			t.Errorf("not linked: %+v", m)
		}
		a.delete("1")
		b.want("1", 0, false)
		a.put(sessionOf("2", "u", 1))
		b.want("2", 1, false)
		b.want("2", 1, false) // nothing is kept
		proxy.Refuse(false)
		b.await("a new link", func() bool { b.retry(); return b.usable() })
		b.want("2", 1, false)
		b.want("2", 1, true)
		if s := b.NearStats(); s.LinksLost != 1 || s.State != "on" {
			t.Errorf("%+v", s)
		}
	})
}

// An address is balanced over a master and servers that are none, each connection to the next.
// Searches have a client of their own, so that an attempt makes several connections.
func TestNear_BalancedAddress(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		for others := 1; others <= 3; others++ {
			t.Run(fmt.Sprintf("%d others", others), func(t *testing.T) {
				t.Parallel()
				master := redistest.Start(t)
				addrs := []string{}
				for range others {
					addrs = append(addrs, redistest.Start(t).Addr)
				}
				proxy := redistest.NewProxy(t, master.Addr)
				rdb := master.Client(t)
				searches := redis.NewClient(&redis.Options{Addr: proxy.Addr})
				t.Cleanup(func() { _ = searches.Close() })
				p := openNear(t, Config{Redis: rdb, Searches: searches, Shards: 1, NearBytes: 16 << 20, NearStaleness: testBound}, through(proxy))
				proxy.Lead(append(addrs, master.Addr)...) // the link goes to another one first
				p.run()
				p.await("the near cache is usable", func() bool { p.retry(); return p.usable() })
			})
		}
	})
}

// The link stays open and says nothing: only time tells.
func TestI4_LinkStalled(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		server := redistest.Start(t)
		proxy := redistest.NewProxy(t, server.Addr)
		a, b := startNear(t, server.Client(t), 1), startNear(t, server.Client(t), 1, through(proxy))
		a.put(sessionOf("1", "u", 1))
		b.settle()
		b.want("1", 1, false)
		proxy.Stall(true)
		a.delete("1")
		for range 3 {
			b.proveMaster(testBound / 4)
			b.want("1", 1, true) // within the bound
		}
		b.proveMaster(testBound/4 - 1)
		b.want("1", 1, true)
		b.proveMaster(1)
		b.want("1", 0, false) // and not a moment longer
		if got := b.ofUser("u"); len(got) != 0 {
			t.Error(got)
		}
		b.during("link", func() { proxy.Stall(false) })
		b.settle()
		b.want("1", 0, false) // what it held of it was invalidated
		b.want("1", 0, true)
	})
}

// An answer that comes late proves only what was so when its question was sent.
func TestI4_LinkSlow(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		server := redistest.Start(t)
		proxy := redistest.NewProxy(t, server.Addr)
		a, b := startNear(t, server.Client(t), 1), startNear(t, server.Client(t), 1, through(proxy))
		a.put(sessionOf("1", "u", 1))
		b.settle()
		b.want("1", 1, false)
		b.prove(0)
		proxy.Stall(true)
		b.proveMaster(testBound / 2) // a ping is sent now
		b.proveMaster(testBound/2 - 1)
		b.want("1", 1, true)
		b.proveMaster(1)
		b.want("1", 1, false)
		proxy.Stall(false)
		b.await("the newest answer", func() bool { return b.since("link", b.clock.Load()) == 1 })
		b.want("1", 1, true) // by the newest of them
		proxy.Stall(true)
		a.delete("1")
		b.proveMaster(testBound / 2)
		b.proveMaster(testBound/2 - 1)
		b.want("1", 1, true)
		b.proveMaster(1)
		b.want("1", 0, false)
	})
}

// slowConn is a connection on which a test lets the answers through byte by byte.
type slowConn struct {
	net.Conn
	valve *valve
}

// valve lets so many bytes pass.
type valve struct {
	mu   sync.Mutex
	open sync.Cond
	left int // -1: all
}

func (g *valve) let(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left = n
	g.open.Broadcast()
}

func (c slowConn) Read(p []byte) (int, error) {
	c.valve.mu.Lock()
	for c.valve.left == 0 {
		c.valve.open.Wait()
	}
	n, counted := len(p), c.valve.left > 0
	if counted {
		n = min(n, c.valve.left)
	}
	c.valve.mu.Unlock()
	n, err := c.Conn.Read(p[:n])
	c.valve.mu.Lock()
	if counted && c.valve.left > 0 {
		c.valve.left -= n
	}
	c.valve.mu.Unlock()
	return n, err
}

// Redis' message stands still in the middle, for longer than any patience, and
// goes on. It must not get lost, and nothing before its end may count as proof.
func TestI4_PushSplitInTheMiddleOfItsFrame(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		for _, size := range []int{1, 9, 20, 40} {
			server := redistest.Start(t)
			g := &valve{left: -1}
			g.open.L = &g.mu
			slow := func(o *redis.Options) {
				dial := o.Dialer
				o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
					conn, err := dial(ctx, network, addr)
					return slowConn{conn, g}, err
				}
			}
			a, b := startNear(t, server.Client(t), 1), startNear(t, server.Client(t), 1, slow)
			t.Cleanup(func() { g.let(-1) }) // else a test that fails never ends
			answered := func() time.Duration {
				b.mu.Lock()
				defer b.mu.Unlock()
				return b.newest["link"][0]
			}
			a.put(sessionOf("1", "u", 1))
			b.settle()
			b.prove(testBound / 4)
			b.want("1", 1, false)
			// The reader waits in a Read that began with all let through: it takes
			// one more piece whole, an answer; what comes then stands still. On a busy
			// machine the copy that was read may not have been kept, or not be used yet.
			eventually.Holds(t, "a copy is used", func() bool {
				b.settle()
				_, byCopy := b.get("1")
				return byCopy
			})
			g.let(size)
			b.prove(testBound / 4)
			b.want("1", 1, true)
			last := answered()
			a.delete("1")
			for range 4 {
				b.proveMaster(testBound / 4)
			}
			if answered() != last {
				t.Fatal("there was an answer behind half a message")
			}
			b.want("1", 0, false)
			g.let(-1)
			b.settle()
			want := 4
			if isByKey(t) { // of the session, which it has read
				want = 1
			}
			if n := b.count("invalidation"); n != want {
				t.Errorf("%d invalidations, want %d", n, want)
			}
			b.want("1", 0, false)
			b.want("1", 0, true)
			if b.NearStats().LinksLost != 0 {
				t.Error("the link was lost")
			}
		}
	})
}

// A master that was deposed goes on answering pings, and hears of no deletion.
func TestI4_OldMasterThatStillAnswersPings(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		server, other := redistest.Start(t), redistest.Start(t)
		b := startNear(t, server.Client(t), 1)
		b.put(sessionOf("1", "u", 1))
		b.settle()
		b.want("1", 1, false)
		b.want("1", 1, true)
		host, port, err := net.SplitHostPort(other.Addr)
		if err != nil {
			t.Fatal(err)
		}
		if err := server.Client(t).Do(t.Context(), "REPLICAOF", host, port).Err(); err != nil {
			t.Fatal(err)
		}
		b.during("flush", func() { b.pass(testBound / 4) })
		if b.usable() {
			t.Error("copies are used though the server is a replica")
		}
		b.await("the loss is counted", func() bool { return b.NearStats().LinksLost == 1 })
	})
}

// The address leads to another server than the link's.
func TestI4_AnotherServerTakesOver(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		first, second := redistest.Start(t), redistest.Start(t)
		b := openNear(t, Config{Redis: second.Client(t), NearBytes: 1 << 20, NearStaleness: testBound}, func(o *redis.Options) { o.Addr = first.Addr })
		b.run()
		b.await("it is noticed", func() bool { return b.NearStats().LinksLost > 0 })
		if b.usable() {
			t.Error("copies are used")
		}
	})
}

// Without the second proof copies are used for half the bound, though the link answers.
func TestI4_MasterAway(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		server := redistest.Start(t)
		proxy := redistest.NewProxy(t, server.Addr)
		b := startNear(t, server.Client(t, func(o *redis.Options) { o.Addr = proxy.Addr }), 1, func(o *redis.Options) { o.Addr = server.Addr })
		b.put(sessionOf("1", "u", 1))
		b.settle()
		b.want("1", 1, false)
		b.prove(0)
		proxy.Refuse(true)
		proxy.CutAll()
		b.during("link", func() { b.pass(testBound/2 - 1) })
		b.want("1", 1, true)
		b.during("link", func() { b.pass(1) })
		if _, err := b.Get(t.Context(), "1"); !errors.Is(err, session.ErrUnavailable) {
			t.Errorf("I2: got %v", err)
		}
	})
}

// A process that could not prove a master for more than half the bound does not know
// whether there was another in between: its old copies do not come back.
func TestI4_CopiesFromBeforeAGapAreNotUsed(t *testing.T) {
	t.Parallel()
	eachTracking(t, func(t *testing.T) {
		server := redistest.Start(t)
		proxy := redistest.NewProxy(t, server.Addr)
		b := startNear(t, server.Client(t, func(o *redis.Options) { o.Addr = proxy.Addr }), 1, func(o *redis.Options) { o.Addr = server.Addr })
		b.put(sessionOf("1", "u", 1))
		b.settle()
		b.want("1", 1, false)
		b.prove(testBound / 2)
		b.want("1", 1, true)
		b.prove(testBound/2 + 1)
		b.want("1", 1, false)
		b.want("1", 1, true)
		if s := b.NearStats(); s.LinksLost != 0 || s.State != "on" {
			t.Errorf("%+v", s)
		}
	})
}
