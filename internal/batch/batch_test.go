package batch_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// long is a time that no test waits for.
const long = time.Minute

// hold is a hook that holds batches before they are sent.
type hold struct {
	entered chan []redis.Cmder // a batch is held
	pass    chan struct{}      // lets one go
}

func newHold(c *redis.Client) *hold {
	g := &hold{make(chan []redis.Cmder), make(chan struct{})}
	c.AddHook(g)
	return g
}

func (g *hold) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (g *hold) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (g *hold) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if cmds[0].Name() == "hello" || cmds[0].Name() == "client" { // the greeting of a connection
			return next(ctx, cmds)
		}
		g.entered <- cmds
		<-g.pass
		return next(ctx, cmds)
	}
}

// call is a Do that runs.
type call struct {
	cmds []redis.Cmder
	err  error
	done chan struct{}
}

func start(ctx context.Context, b *batch.Batcher, cmds ...redis.Cmder) *call {
	c := &call{cmds: cmds, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.err = b.Do(ctx, cmds...)
	}()
	return c
}

func (c *call) wait() error {
	<-c.done
	return c.err
}

func queued(t *testing.T, b *batch.Batcher, n int) {
	t.Helper()
	eventually.Holds(t, fmt.Sprintf("%d commands waiting", n), func() bool { return b.Queued() == n })
}

func incr(key string) redis.Cmder { return redis.NewIntCmd(context.Background(), "incr", key) }

func get(key string) *redis.StringCmd {
	return redis.NewStringCmd(context.Background(), "get", key)
}

func open(t *testing.T, c *redis.Client, config batch.Config) *batch.Batcher {
	t.Helper()
	if config.Timeout == 0 {
		config.Timeout = long
	}
	b := batch.New(c, config)
	t.Cleanup(b.Close)
	return b
}

// Each caller sees its own replies, however many there are, and however many of them leave.
func TestDo_RepliesReachTheirCallers(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	for _, config := range []batch.Config{
		{},
		{MaxInFlight: 1},
		{MaxInFlight: 4, MaxCommands: 7},
		{MaxInFlight: 1, MaxCommands: 1},
	} {
		c := s.Client(t)
		b := open(t, c, config)
		var callers sync.WaitGroup
		for caller := range 32 {
			callers.Go(func() {
				for n := range 100 {
					ctx, cancel := context.WithTimeout(t.Context(), long)
					var echoes []*redis.StringCmd
					var cmds []redis.Cmder
					for i := range 1 + rand.IntN(4) {
						echo := redis.NewStringCmd(ctx, "echo", fmt.Sprint(caller, n, i))
						echoes, cmds = append(echoes, echo), append(cmds, echo)
					}
					if n%4 == 0 {
						go cancel()
					}
					err := b.Do(ctx, cmds...)
					cancel()
					if errors.Is(err, context.Canceled) && n%4 == 0 {
						continue
					}
					if err != nil {
						t.Error(err)
						return
					}
					for i, echo := range echoes {
						if want := fmt.Sprint(caller, n, i); echo.Val() != want {
							t.Errorf("got %q, want %q", echo.Val(), want)
						}
					}
				}
			})
		}
		callers.Wait()
		if b.Queued() != 0 {
			t.Errorf("%d commands wait for ever", b.Queued())
		}
	}
}

func TestDo_ErrorsStayWithTheirCaller(t *testing.T) {
	t.Parallel()
	c := redistest.Start(t).Client(t)
	if err := c.MSet(t.Context(), "text", "a", "number", 1).Err(); err != nil {
		t.Fatal(err)
	}
	g := newHold(c)
	b := open(t, c, batch.Config{MaxInFlight: 1})
	first := start(t.Context(), b, incr("first"))
	<-g.entered
	absent, present := get("absent"), get("text")
	wrong := start(t.Context(), b, get("number"), incr("text"), get("absent"))
	queued(t, b, 3)
	none := start(t.Context(), b, absent)
	queued(t, b, 4)
	right := start(t.Context(), b, present)
	queued(t, b, 5)
	g.pass <- struct{}{}
	if together := <-g.entered; len(together) != 5 {
		t.Errorf("a batch of %d, want 5", len(together))
	}
	g.pass <- struct{}{}

	var reply redis.Error
	if err := wrong.wait(); !errors.As(err, &reply) || errors.Is(err, redis.Nil) {
		t.Errorf("the wrong command's caller got %v", err)
	}
	if err := none.wait(); err != nil || !errors.Is(absent.Err(), redis.Nil) {
		t.Errorf("the absent key's caller got %v, its command %v", err, absent.Err())
	}
	if err := right.wait(); err != nil || present.Val() != "a" {
		t.Errorf("the right command's caller got %v, its command %q", err, present.Val())
	}
	if err := first.wait(); err != nil {
		t.Error(err)
	}
}

func TestDo_BatchesAreNotLargerThanAllowed(t *testing.T) {
	t.Parallel()
	c := redistest.Start(t).Client(t)
	g := newHold(c)
	b := open(t, c, batch.Config{MaxInFlight: 1, MaxCommands: 4})
	calls := []*call{start(t.Context(), b, incr("k"))}
	<-g.entered
	waiting := 0
	for _, n := range []int{1, 2, 2, 6, 1, 3, 1} {
		cmds := make([]redis.Cmder, n)
		for i := range cmds {
			cmds[i] = incr("k")
		}
		calls = append(calls, start(t.Context(), b, cmds...))
		waiting += n
		queued(t, b, waiting)
	}
	g.pass <- struct{}{}
	var sizes []int
	for range 5 {
		sizes = append(sizes, len(<-g.entered))
		g.pass <- struct{}{}
	}
	if want := []int{3, 2, 6, 4, 1}; !slices.Equal(sizes, want) { // only the caller with 6 may exceed it
		t.Errorf("batches of %v, want %v", sizes, want)
	}
	var got []int64
	for _, call := range calls {
		if err := call.wait(); err != nil {
			t.Error(err)
		}
		for _, cmd := range call.cmds {
			got = append(got, cmd.(*redis.IntCmd).Val())
		}
	}
	for i, n := range got {
		if n != int64(i+1) {
			t.Fatalf("not sent in order: %v", got)
		}
	}
}

func TestI10_WhatIsTooMuchIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	c := redistest.Start(t).Client(t)
	g := newHold(c)
	b := open(t, c, batch.Config{MaxInFlight: 1, MaxQueued: 3})
	first := start(t.Context(), b, incr("k"))
	<-g.entered
	second := start(t.Context(), b, incr("k"), incr("k"))
	queued(t, b, 2)
	refused := incr("k")
	if err := b.Do(t.Context(), refused, incr("k")); !errors.Is(err, batch.ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	third := start(t.Context(), b, incr("k"))
	queued(t, b, 3)
	if err := b.Do(t.Context(), refused); !errors.Is(err, batch.ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	g.pass <- struct{}{}
	<-g.entered
	g.pass <- struct{}{}
	for _, call := range []*call{first, second, third} {
		if err := call.wait(); err != nil {
			t.Error(err)
		}
	}
	if n := c.Get(t.Context(), "k").Val(); n != "4" {
		t.Errorf("%s commands ran, want 4", n)
	}
}

func TestDo_CommandsOfThoseWhoLeftAreNotSent(t *testing.T) {
	t.Parallel()
	c := redistest.Start(t).Client(t)
	g := newHold(c)
	b := open(t, c, batch.Config{MaxInFlight: 1})
	first := start(t.Context(), b, incr("first"))
	<-g.entered
	ctx, cancel := context.WithCancel(t.Context())
	before := start(t.Context(), b, incr("stays"))
	queued(t, b, 1)
	leaver := start(ctx, b, incr("leaves"), incr("leaves"))
	queued(t, b, 3)
	after := start(t.Context(), b, incr("stays"))
	queued(t, b, 4)
	cancel()
	if err := leaver.wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
	queued(t, b, 2)
	g.pass <- struct{}{}
	<-g.entered
	g.pass <- struct{}{}
	for _, call := range []*call{first, before, after} {
		if err := call.wait(); err != nil {
			t.Error(err)
		}
	}
	if stays, leaves := c.Get(t.Context(), "stays").Val(), c.Exists(t.Context(), "leaves").Val(); stays != "2" || leaves != 0 {
		t.Errorf("stays is %s, leaves exists %d", stays, leaves)
	}
	if err := b.Do(ctx, incr("leaves")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
}

// If all have left, there is no trip, and the next caller is served.
func TestDo_BatchThatAllHaveLeftIsNotSent(t *testing.T) {
	t.Parallel()
	c := redistest.Start(t).Client(t)
	g := newHold(c)
	b := open(t, c, batch.Config{MaxInFlight: 1})
	first := start(t.Context(), b, incr("first"))
	<-g.entered
	ctx, cancel := context.WithCancel(t.Context())
	leaver := start(ctx, b, incr("leaves"))
	queued(t, b, 1)
	cancel()
	if err := leaver.wait(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	g.pass <- struct{}{}
	if err := first.wait(); err != nil {
		t.Error(err)
	}
	next := start(t.Context(), b, incr("next"))
	if cmds := <-g.entered; len(cmds) != 1 || cmds[0] != next.cmds[0] {
		t.Errorf("sent %v", cmds)
	}
	g.pass <- struct{}{}
	if err := next.wait(); err != nil {
		t.Error(err)
	}
	b.Close()
	if got, want := b.Stats(), (batch.Stats{Calls: 2, Trips: 2}); got != want { // a caller that has left is not counted
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestDo_WhatWasSentRunsThoughItsCallerLeft(t *testing.T) {
	t.Parallel()
	c := redistest.Start(t).Client(t)
	g := newHold(c)
	b := batch.New(c, batch.Config{Timeout: 2 * long})
	ctx, cancel := context.WithTimeout(t.Context(), long) // nearer than the batch's, so the trip is not its own
	leaver := start(ctx, b, incr("k"))
	<-g.entered
	cancel()
	if err := leaver.wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
	g.pass <- struct{}{}
	b.Close()
	if n := c.Get(t.Context(), "k").Val(); n != "1" {
		t.Errorf("it ran %q times, want once", n)
	}
}
