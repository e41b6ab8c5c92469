package breaker_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/breaker"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/observed"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/redis/go-redis/v9"
)

func armed() (*breaker.Breakers, *observed.Log) {
	l := &observed.Log{}
	b := breaker.New(slog.New(slog.NewTextHandler(l, nil)))
	b.Arm()
	return b, l
}

// ping asks until ok says so of an answer.
func ping(t *testing.T, c *redis.Client, what string, ok func(error) bool) {
	t.Helper()
	eventually.Holds(t, what, func() bool { return ok(c.Ping(t.Context()).Err()) })
}

// once has a client dial once for a call.
func once(o *redis.Options) { o.DialerRetries = 1 }

func isOpen(err error) bool { return errors.Is(err, breaker.ErrOpen) }
func isFine(err error) bool { return err == nil }

func TestBreaker_OpensOnADeadServerAndClosesWhenItIsBack(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	b, log := armed()
	c := b.Guard(s.Client(t, once))
	other := b.Guard(s.Client(t, once)) // of the same server
	ping(t, c, "the first answer", isFine)
	s.Kill()
	ping(t, c, "the opening", isOpen)
	if err := other.Ping(t.Context()).Err(); !isOpen(err) {
		t.Errorf("another client of the same server: %v", err)
	}
	if got := b.Stats(); len(got.Open) != 1 || got.Open[0] != s.Addr || got.Trips != 1 || got.Refused == 0 {
		t.Errorf("got %+v", got)
	}
	s.Restart()
	ping(t, c, "recovery", isFine)
	ping(t, other, "recovery", isFine)
	if got := b.Stats(); len(got.Open) != 0 || got.Trips != 1 {
		t.Errorf("got %+v", got)
	}
	if log.Count("redis is away") != 1 || log.Count("redis answers again") != 1 {
		t.Errorf("the log has\n%s", log.String())
	}
}

// A silent server is one that time-outs tell of. Once it is known, nobody waits: a call that is refused sends nothing.
func TestBreaker_NobodyWaitsForASilentServer(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := redistest.NewProxy(t, s.Addr)
	b, _ := armed()
	c := b.Guard(s.Client(t, func(o *redis.Options) {
		o.Addr, o.ReadTimeout = p.Addr, 600*time.Millisecond
	}))
	ping(t, c, "the first answer", isFine)
	p.Stall(true)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() { ping(t, c, "the opening", isOpen) })
	}
	group.Wait()
	cmds, err := c.Pipelined(t.Context(), func(pipe redis.Pipeliner) error {
		pipe.Ping(t.Context())
		pipe.Ping(t.Context())
		return nil
	})
	if isOpen(err) {
		for _, cmd := range cmds {
			if !isOpen(cmd.Err()) {
				t.Errorf("a command of a refused pipeline has the error %v", cmd.Err())
			}
		}
	} // else it was the one that is let through
	p.Stall(false)
	ping(t, c, "recovery", isFine)
}

// A connection's greeting is part of the call that is let through, and not a second call.
func TestBreaker_TheProbeMayConnect(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "requirepass secret")
	p := redistest.NewProxy(t, s.Addr)
	b, _ := armed()
	c := b.Guard(s.Client(t, func(o *redis.Options) { o.Addr, o.Password, o.DialerRetries = p.Addr, "secret", 1 }))
	ping(t, c, "the first answer", isFine)
	p.Refuse(true)
	p.CutAll()
	ping(t, c, "the opening", isOpen)
	p.Refuse(false)
	ping(t, c, "recovery", isFine)
}

func TestBreaker_AnswersAndCallersThatGiveUpAreNoFailures(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := redistest.NewProxy(t, s.Addr)
	b, _ := armed()
	c := b.Guard(s.Client(t, func(o *redis.Options) { o.Addr = p.Addr }))
	ping(t, c, "the first answer", isFine)
	if err := c.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		for what, err := range map[string]error{
			"nil":       c.Get(t.Context(), "none").Err(),
			"NOSCRIPT":  c.EvalSha(t.Context(), "0123456789012345678901234567890123456789", nil).Err(),
			"OOM":       c.Set(t.Context(), "k", "v", 0).Err(),
			"ERR":       c.Do(t.Context(), "NOSUCH").Err(),
			"no string": c.Do(t.Context(), "GET", struct{}{}).Err(),
		} {
			if err == nil || isOpen(err) {
				t.Fatalf("%s: %v", what, err)
			}
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.Ping(gone).Err(); err == nil || isOpen(err) {
			t.Fatalf("cancelled: %v", err)
		}
	}
	p.Stall(true)
	for range 10 {
		soon, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		err := c.Ping(soon).Err()
		cancel()
		if err == nil || isOpen(err) {
			t.Fatalf("given up: %v", err)
		}
	}
	p.Stall(false)
	if got := b.Stats(); got.Trips != 0 || got.Refused != 0 {
		t.Errorf("got %+v", got)
	}
}

// What Sentinels call the master, and its replicas, have one address in go-redis.
func TestBreaker_OneNameIsNotAway_BecauseAnotherIs(t *testing.T) {
	t.Parallel()
	b, _ := armed()
	s := redistest.Start(t)
	away := b.GuardAs("replicas", s.Client(t, func(o *redis.Options) {
		o.DialerRetries = 1
		o.Dialer = func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }
	}))
	master := b.GuardAs("master", s.Client(t, once))
	ping(t, away, "an open breaker", isOpen)
	if err := master.Ping(t.Context()).Err(); err != nil {
		t.Error(err)
	}
	if open := b.Stats().Open; !slices.Equal(open, []string{"replicas"}) {
		t.Errorf("%q are away", open)
	}
}

func TestBreaker_DoesNothingBeforeItIsArmed(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	s.Kill()
	b := breaker.New(slog.New(slog.DiscardHandler))
	c := b.Guard(s.Client(t, once))
	for range 10 {
		if err := c.Ping(t.Context()).Err(); err == nil || isOpen(err) {
			t.Fatalf("got %v", err)
		}
	}
	b.Arm()
	ping(t, c, "the opening", isOpen)
}
