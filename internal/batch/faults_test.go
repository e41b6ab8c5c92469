package batch_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// throughProxy returns a client through a proxy, and one past it.
func throughProxy(t *testing.T) (*redistest.Proxy, *redis.Client, *redis.Client) {
	t.Helper()
	s := redistest.Start(t)
	p := redistest.NewProxy(t, s.Addr)
	return p, s.Client(t, func(o *redis.Options) { o.Addr = p.Addr }), s.Client(t)
}

// callers starts Do of n callers that share a batch: the second of b, whose first g holds.
func callers(t *testing.T, b *batch.Batcher, g *hold, n int) (first *call, others []*call) {
	t.Helper()
	first = start(t.Context(), b, incr("first"))
	<-g.entered
	for i := range n {
		others = append(others, start(t.Context(), b, get("absent"), incr("n")))
		queued(t, b, 2*(i+1))
	}
	return first, others
}

// unavailable fails the test unless every command of the calls has an error that is not a reply.
func unavailable(t *testing.T, calls []*call) {
	t.Helper()
	for _, call := range calls {
		var reply redis.Error
		if err := call.wait(); err == nil || errors.As(err, &reply) {
			t.Errorf("a caller got %v", err)
		}
		for _, cmd := range call.cmds {
			if err := cmd.Err(); err == nil || errors.As(err, &reply) {
				t.Errorf("a command has the error %v", err)
			}
		}
	}
}

func TestI2_LostReplyIsEveryCallersError(t *testing.T) {
	t.Parallel()
	p, c, direct := throughProxy(t)
	g := newHold(c)
	b := open(t, c, batch.Config{MaxInFlight: 1})
	first, others := callers(t, b, g, 3)
	g.pass <- struct{}{}
	<-g.entered
	p.DropReplies()
	g.pass <- struct{}{}
	if err := first.wait(); err != nil {
		t.Error(err)
	}
	unavailable(t, others)
	if n := direct.Get(t.Context(), "n").Val(); n != "3" {
		t.Errorf("the batch ran so that n is %s, want 3: once", n)
	}
	next := start(t.Context(), b, incr("n"))
	<-g.entered
	g.pass <- struct{}{}
	if err := next.wait(); err != nil {
		t.Errorf("the next batch failed: %v", err)
	}
}

func TestI2_NoConnectionIsEveryCallersError(t *testing.T) {
	t.Parallel()
	p, c, _ := throughProxy(t)
	g := newHold(c)
	b := open(t, c, batch.Config{MaxInFlight: 1})
	first, others := callers(t, b, g, 3)
	p.Refuse(true)
	p.CutAll()
	g.pass <- struct{}{}
	<-g.entered
	g.pass <- struct{}{}
	unavailable(t, append(others, first))
	p.Refuse(false)
	next := start(t.Context(), b, incr("n"))
	<-g.entered
	g.pass <- struct{}{}
	if err := next.wait(); err != nil {
		t.Errorf("the next batch failed: %v", err)
	}
}

// silent is a hook that fails every batch, and sets no command's error.
type silent struct {
	redistest.Faults
	fail func() error
}

func (s *silent) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(context.Context, []redis.Cmder) error { return s.fail() }
}

func TestI2_ErrorThatNoCommandHasIsEverybodys(t *testing.T) {
	t.Parallel()
	c := redistest.Start(t).Client(t)
	c.AddHook(&silent{fail: func() error { return redistest.ErrCut }})
	b := open(t, c, batch.Config{})
	cmds := []redis.Cmder{get("a"), get("b")}
	if err := b.Do(t.Context(), cmds...); !errors.Is(err, redistest.ErrCut) {
		t.Errorf("got %v, want ErrCut", err)
	}
	for _, cmd := range cmds {
		if !errors.Is(cmd.Err(), redistest.ErrCut) {
			t.Errorf("a command has the error %v", cmd.Err())
		}
	}
}

func TestDo_PanicOfACallersOwnTripIsOnlyItsOwn(t *testing.T) {
	t.Parallel()
	c := redistest.Start(t).Client(t)
	c.AddHook(&silent{fail: func() error { panic("a hook") }})
	b := open(t, c, batch.Config{MaxInFlight: 1})
	for range 2 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was lost")
				}
			}()
			_ = b.Do(t.Context(), get("k"))
		}()
	}
	if n := b.InFlight(); n != 0 {
		t.Errorf("%d batches are under way", n)
	}
}

// Redis is silent; callers leave at their own deadlines. When it speaks again, it does so on the same connections.
func TestDo_CallersLeaveAStalledRedisItsConnections(t *testing.T) {
	t.Parallel()
	p, c, direct := throughProxy(t)
	b := open(t, c, batch.Config{MaxInFlight: 1})
	if err := b.Do(t.Context(), incr("n")); err != nil {
		t.Fatal(err)
	}
	connections := func() string {
		return direct.InfoMap(t.Context(), "stats").Item("Stats", "total_connections_received")
	}
	before := connections()
	p.Stall(true)
	var calls []*call
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		calls = append(calls, start(ctx, b, incr("n")))
	}
	for _, call := range calls {
		if err := call.wait(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want DeadlineExceeded", err)
		}
	}
	if n := b.Queued(); n != 0 {
		t.Errorf("%d commands wait for nobody", n)
	}
	p.Stall(false)
	if err := b.Do(t.Context(), incr("n")); err != nil {
		t.Errorf("after the stall: %v", err)
	}
	if after := connections(); after != before {
		t.Errorf("%s connections were made, %s before the stall", after, before)
	}
}

// A batch's time-out ends it for those who would have waited longer, and tears its connection; the next batch works.
func TestDo_TimeoutEndsABatchForAll(t *testing.T) {
	t.Parallel()
	p, c, _ := throughProxy(t)
	b := open(t, c, batch.Config{MaxInFlight: 1, Timeout: 20 * time.Millisecond})
	p.Stall(true)
	calls := []*call{start(t.Context(), b, incr("n")), start(t.Context(), b, incr("n")), start(t.Context(), b, incr("n"))}
	for _, call := range calls {
		var timeout net.Error
		if err := call.wait(); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("got %v, want a time-out", err)
		}
	}
	p.Stall(false)
	eventually.Holds(t, "a batch after the stall", func() bool { return b.Do(t.Context(), incr("n")) == nil })
}

// A lone caller leaves the queue for a connection when its context ends, and when a batch's time is over.
func TestDo_LoneCallerLeavesTheQueueForAConnection(t *testing.T) {
	t.Parallel()
	c := redistest.Start(t).Client(t, func(o *redis.Options) { o.PoolSize, o.MaxActiveConns = 1, 1 })
	held := c.Conn()
	if err := held.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	b := open(t, c, batch.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	lone := start(ctx, b, incr("n"))
	eventually.Holds(t, "the pool's queue", func() bool { return b.InFlight() == 1 && c.PoolStats().PendingRequests == 1 })
	cancel()
	if err := lone.wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
	short := open(t, c, batch.Config{Timeout: 20 * time.Millisecond})
	if err := short.Do(t.Context(), incr("n")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want DeadlineExceeded", err)
	}
	if err := held.Close(); err != nil {
		t.Error(err)
	}
	if err := b.Do(t.Context(), incr("n")); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// A slow link does not let batches overtake each other's replies.
func TestDo_SlowLink(t *testing.T) {
	t.Parallel()
	p, c, _ := throughProxy(t)
	b := open(t, c, batch.Config{})
	p.Delay(2 * time.Millisecond)
	var calls []*call
	for range 50 {
		calls = append(calls, start(t.Context(), b, incr("n")))
	}
	seen := map[int64]bool{}
	for _, call := range calls {
		if err := call.wait(); err != nil {
			t.Error(err)
		}
		seen[call.cmds[0].(*redis.IntCmd).Val()] = true
	}
	if len(seen) != len(calls) {
		t.Errorf("%d different replies, want %d", len(seen), len(calls))
	}
}

func TestI7_CloseWaitsForAllBatches(t *testing.T) {
	t.Parallel()
	c := redistest.Start(t).Client(t)
	g := newHold(c)
	b := batch.New(c, batch.Config{MaxInFlight: 1, Timeout: long})
	first, others := callers(t, b, g, 2)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		b.Close()
	}()
	eventually.Holds(t, "Close", b.Closed)
	if err := b.Do(t.Context(), incr("n")); !errors.Is(err, batch.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	g.pass <- struct{}{}
	<-g.entered
	select {
	case <-closed:
		t.Error("Close did not wait")
	default:
	}
	g.pass <- struct{}{}
	<-closed
	for _, call := range append(others, first) {
		if err := call.wait(); err != nil {
			t.Error(err)
		}
	}
}

// Nobody closes this one: TestMain would find what is left.
func TestI7_IdleBatcherHasNoGoroutine(t *testing.T) {
	t.Parallel()
	b := batch.New(redistest.Start(t).Client(t), batch.Config{Timeout: long})
	ctx, cancel := context.WithTimeout(t.Context(), long/2)
	defer cancel()
	var calls []*call
	for range 20 {
		calls = append(calls, start(ctx, b, incr("n")))
	}
	for _, call := range calls {
		if err := call.wait(); err != nil {
			t.Error(err)
		}
	}
	eventually.Holds(t, "the end of all batches", func() bool { return b.InFlight() == 0 })
}
