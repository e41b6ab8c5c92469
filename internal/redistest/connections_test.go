package redistest_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// tracked returns a connection through p that asks for invalidations, and one that does not.
func tracked(t *testing.T, s *redistest.Server, p *redistest.Proxy) (tracking, data *redis.Conn) {
	t.Helper()
	through := func(name string) *redis.Conn {
		conn := s.Client(t, func(o *redis.Options) { o.Addr, o.ClientName = p.Addr, name }).Conn()
		t.Cleanup(func() { conn.Close() })
		if err := conn.Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	return through("test-invalidation"), through("test")
}

func TestProxy_OnlyOneKindOfLinks(t *testing.T) {
	t.Parallel()
	faults := map[string]struct{ begin, end func(*redistest.Proxy) }{
		"stall": {func(p *redistest.Proxy) { p.Stall(true) }, func(p *redistest.Proxy) { p.Stall(false) }},
		"mute":  {func(p *redistest.Proxy) { p.Mute(true) }, func(p *redistest.Proxy) { p.Mute(false) }},
		"delay": {func(p *redistest.Proxy) { p.Delay(time.Second) }, func(p *redistest.Proxy) { p.Delay(0) }},
		"cut":   {(*redistest.Proxy).CutAll, func(*redistest.Proxy) {}},
		"bytes": {func(p *redistest.Proxy) { p.CutAfter(3) }, func(*redistest.Proxy) {}},
		"drop":  {(*redistest.Proxy).DropReplies, func(*redistest.Proxy) {}},
	}
	for name, fault := range faults {
		for _, which := range []redistest.Connections{redistest.DataConnections, redistest.TrackingConnections, redistest.AllConnections} {
			s := redistest.Start(t)
			p := redistest.NewProxy(t, s.Addr)
			tracking, data := tracked(t, s, p)
			if p.Tracking() != 1 {
				t.Errorf("%d tracking connections", p.Tracking())
			}
			p.Only(which)
			fault.begin(p)
			hit := func(conn *redis.Conn, connections redistest.Connections) {
				t.Helper()
				want := which&connections != 0
				if once := name == "bytes" || name == "drop"; once && which == redistest.AllConnections {
					want = connections == redistest.DataConnections // it is for the first one
				}
				ctx := t.Context()
				if want {
					ctx = silent(t)
				}
				if failed := conn.Ping(ctx).Err() != nil; failed != want {
					t.Errorf("%s for connections %b: one of the kind %b failed: %v", name, which, connections, failed)
				}
			}
			hit(data, redistest.DataConnections)
			hit(tracking, redistest.TrackingConnections)
			fault.end(p)
		}
	}
}

func TestProxy_MuteRunsWhatIsAskedAndHoldsTheAnswer(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := redistest.NewProxy(t, s.Addr)
	c := s.Client(t, func(o *redis.Options) { o.Addr, o.ReadTimeout = p.Addr, 10*time.Second }).Conn()
	defer c.Close()
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	p.Mute(true)
	answered := make(chan error, 1)
	go func() { answered <- c.Set(context.Background(), "k", "v", 0).Err() }()
	direct := s.Client(t)
	for direct.Exists(t.Context(), "k").Val() == 0 { // it runs
	}
	select {
	case err := <-answered:
		t.Errorf("it was answered: %v", err)
	default:
	}
	p.Mute(false)
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func TestProxy_JitterIsBelowItsBoundAndKeepsTheOrder(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := redistest.NewProxy(t, s.Addr)
	c := s.Client(t, func(o *redis.Options) { o.Addr = p.Addr })
	p.Jitter(5 * time.Millisecond)
	for i := range 20 {
		if n, err := c.Incr(t.Context(), "k").Result(); err != nil || n != int64(i+1) {
			t.Fatalf("%d, %v", n, err)
		}
	}
}

func TestServer_ConfigureHoldsFromTheNextStart(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "maxmemory 20mb")
	s.Configure("maxmemory 30mb")
	for _, want := range []string{"20971520", "31457280"} {
		if got := s.Client(t).ConfigGet(t.Context(), "maxmemory").Val(); got["maxmemory"] != want {
			t.Errorf("got %v, want %s", got, want)
		}
		s.Restart()
	}
}
