package breaker_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/breaker"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// fill takes all connections that a server has left.
func fill(t *testing.T, s *redistest.Server) {
	t.Helper()
	for range 100 {
		conn := s.Client(t, once).Conn()
		err := conn.Ping(t.Context()).Err()
		t.Cleanup(func() { _ = conn.Close() })
		if err != nil {
			return
		}
	}
	t.Fatal("the server takes more than 100 connections")
}

// callAtOnce has many more callers than there are connections, and returns how many calls failed.
func callAtOnce(t *testing.T, call func(context.Context) error) (failed int32) {
	t.Helper()
	var wrong atomic.Int32
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for range 50 {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				if err := call(ctx); err != nil {
					if wrong.Add(1) == 1 {
						t.Log(err)
					}
				}
				cancel()
			}
		})
	}
	group.Wait()
	return wrong.Load()
}

// A server that takes no further connection answers on those that are open: calls go on over these, and nothing is away.
func TestMaxclients_CallsGoOnOverTheConnectionsThereAre(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "maxclients 12")
	b, log := armed()
	c := b.Guard(s.Client(t, once, func(o *redis.Options) { o.PoolSize = 16 }))
	ping(t, c, "the first answer", isFine)
	fill(t, s)
	if failed := callAtOnce(t, func(ctx context.Context) error { return c.Ping(ctx).Err() }); failed > 0 {
		t.Errorf("%d calls failed", failed)
	}
	if got := b.Stats(); got.Trips != 0 || got.Refused != 0 {
		t.Errorf("the breaker: %+v", got)
	}
	if log.Count("redis is away") != 0 || log.Count("redis takes no further connections: calls wait") != 1 {
		t.Errorf("the log has\n%s", log.String())
	}
}

// Where none is open, calls fail at once, and the log says why.
func TestMaxclients_WithoutAConnectionCallsAreRefused(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "maxclients 12")
	fill(t, s)
	b, log := armed()
	c := b.Guard(s.Client(t, once))
	ping(t, c, "the opening", isOpen)
	if log.Count("redis is away") != 0 || log.Count("redis takes no connections: calls are refused") != 1 {
		t.Errorf("the log has\n%s", log.String())
	}
	if _, err := s.Client(t).Do(t.Context(), "PING").Result(); err == nil || !strings.Contains(err.Error(), "max number of clients") && !isLost(err) {
		t.Errorf("the server is not full: %v", err)
	}
}

// A pool that has all the connections that it may have gets one back a moment later: calls wait for it, also
// while nothing has shown that the server answers.
func TestExhaustedPool_CallsWaitForAConnection(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	for name, call := range map[string]func(context.Context, *redis.Client) error{
		"a command": func(ctx context.Context, c *redis.Client) error { return c.Ping(ctx).Err() },
		"a pipeline": func(ctx context.Context, c *redis.Client) error {
			cmds, err := c.Pipelined(ctx, func(p redis.Pipeliner) error { p.Ping(ctx); p.Echo(ctx, "x"); return nil })
			if err == nil && cmds[1].(*redis.StringCmd).Val() != "x" {
				t.Errorf("the pipeline: %v", cmds)
			}
			return err
		},
	} {
		b := breaker.New(slog.New(slog.DiscardHandler))
		c := b.Guard(s.Client(t, once, func(o *redis.Options) { o.PoolSize, o.MaxActiveConns = 2, 1 }))
		held := c.Conn()
		if err := held.Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		b.Arm() // what was answered before does not count
		if err := call(t.Context(), c); !errors.Is(err, redis.ErrPoolExhausted) {
			t.Errorf("%s, while no connection comes back: %v", name, err)
		}
		time.AfterFunc(100*time.Millisecond, func() { _ = held.Close() })
		if err := call(t.Context(), c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := b.Stats(); got.Trips != 0 || got.Refused != 0 {
			t.Errorf("%s: the breaker: %+v", name, got)
		}
	}
}

func isLost(err error) bool { return !strings.HasPrefix(err.Error(), "ERR") }
