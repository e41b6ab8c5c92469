package batch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

type doer interface {
	Do(ctx context.Context, c *batch.Call) error
}

func newReads(t *testing.T, rdb *redis.Client, c batch.Config) *batch.Reads {
	t.Helper()
	if c.Timeout == 0 {
		c.Timeout = long
	}
	r := batch.NewReads(rdb, c)
	t.Cleanup(r.Close)
	return r
}

// getAll reads keys in one call: "" for one that is not there.
func getAll(ctx context.Context, r doer, keys ...string) (values []string, err error) {
	c := batch.NewCall()
	defer c.Release()
	for _, k := range keys {
		c.Add("get", k)
	}
	if err := r.Do(ctx, c); err != nil {
		return nil, err
	}
	replies := c.Replies()
	for range keys {
		text, _, err := replies.Text()
		if err != nil {
			return nil, err
		}
		values = append(values, string(text))
	}
	return values, nil
}

// Each of many callers gets what it has asked for, whatever the sizes are.
func TestReads_EachCallerGetsItsOwn(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	rdb := s.Client(t)
	value := func(i int) string { return strings.Repeat(fmt.Sprint(i, "\r\n$"), 1+i*i*i%5000) }
	const n = 40
	for i := range n {
		if err := rdb.Set(t.Context(), fmt.Sprint("k", i), value(i), 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	r := newReads(t, rdb, batch.Config{MaxCommands: 30})
	var group errgroup.Group
	for caller := range 32 {
		group.Go(func() error {
			for round := range 60 {
				var keys, want []string
				for i := range 1 + (caller+round)%7 {
					at := (caller*31 + round*17 + i*5) % (n + 4)
					keys, want = append(keys, fmt.Sprint("k", at)), append(want, "")
					if at < n {
						want[i] = value(at)
					}
				}
				if got, err := getAll(t.Context(), r, keys...); err != nil || !slices.Equal(got, want) {
					return fmt.Errorf("%v: %.100q, %v", keys, got, err)
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	if st := r.Stats(); st.Trips >= st.Calls || st.Queued != 0 {
		t.Errorf("%+v: no trip was shared", st)
	}
}

// What Redis answers as an error is the reply of the command that it is for, and the
// client's hooks see it.
func TestReads_ErrorsAreReplies(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	seen := &watching{}
	rdb.AddHook(seen)
	if err := errors.Join(rdb.Set(t.Context(), "text", "v", 0).Err(), rdb.LPush(t.Context(), "list", "a", "b").Err()); err != nil {
		t.Fatal(err)
	}
	r := newReads(t, rdb, batch.Config{})
	if _, err := getAll(t.Context(), r, "text"); err != nil { // gives up the connections from before
		t.Fatal(err)
	}
	seen.commands.Store(0)
	c := batch.NewCall()
	defer c.Release()
	c.Add("get", "text")
	c.Add("get", "list")
	c.Add("lrange", "list", "0", "-1")
	if err := r.Do(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	replies := c.Replies()
	if text, is, err := replies.Text(); string(text) != "v" || !is || err != nil {
		t.Errorf("got %q, %v, %v", text, is, err)
	}
	if _, _, err := replies.Text(); !redis.HasErrorPrefix(err, "WRONGTYPE") {
		t.Errorf("got %v", err)
	}
	if n, err := replies.Array(); n != 2 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	if text, _, err := replies.Text(); string(text) != "b" || err != nil {
		t.Errorf("got %q, %v", text, err)
	}
	if err := seen.last.Load(); err == nil || !redis.HasErrorPrefix(*err, "WRONGTYPE") {
		t.Errorf("the hooks saw %v", err)
	}
	if keys := seen.keys.Load(); !slices.Equal(*keys, []string{"text", "list", "list"}) {
		t.Errorf("the hooks saw the keys %q", *keys)
	}
	if n := seen.commands.Load(); n != 3 {
		t.Errorf("the hooks saw %d commands, want 3", n)
	}
}

// watching is a hook that looks at what goes over a client.
type watching struct {
	last     atomic.Pointer[error]
	commands atomic.Int64
	keys     atomic.Pointer[[]string]
}

func (w *watching) DialHook(next redis.DialHook) redis.DialHook { return next }

func (w *watching) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (w *watching) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if name := cmds[0].Name(); name != "hello" && name != "client" {
			w.commands.Add(int64(len(batch.Sent(cmds[0]))))
			w.last.Store(&err)
			if c, ok := cmds[0].(*batch.Command); ok {
				keys := slices.Collect(c.Keys)
				w.keys.Store(&keys)
			}
		}
		return err
	}
}

// Connections that the client has made before are given up, and the answer is right.
func TestReads_ConnectionsFromBefore(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	const old = 8
	var group errgroup.Group
	for range old {
		group.Go(func() error { return rdb.BLPop(t.Context(), time.Second, "none").Err() })
	}
	if err := group.Wait(); !errors.Is(err, redis.Nil) {
		t.Fatal(err)
	}
	if n := rdb.PoolStats().IdleConns; n != old {
		t.Fatalf("%d connections, want %d", n, old)
	}
	if err := rdb.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	r := newReads(t, rdb, batch.Config{})
	for range 2 {
		if got, err := getAll(t.Context(), r, "k"); err != nil || got[0] != "v" {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if got, err := rdb.Get(t.Context(), "k").Result(); got != "v" || err != nil {
		t.Errorf("a command of the client: %q, %v", got, err)
	}
}

// Two Reads over one client have its connections wrapped once.
func TestReads_SeveralOverOneClient(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	if err := rdb.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	var group errgroup.Group
	for range 3 {
		r := newReads(t, rdb, batch.Config{})
		for range 4 {
			group.Go(func() error {
				for range 100 {
					if got, err := getAll(t.Context(), r, "k", "none"); err != nil || got[0] != "v" || got[1] != "" {
						return fmt.Errorf("got %q, %v", got, err)
					}
				}
				return nil
			})
		}
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

// A caller whose context ends waits no longer; its call is not used by another. What
// the others have asked is answered.
func TestReads_CallerGivesUp(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	rdb := s.Client(t)
	if err := rdb.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	r := newReads(t, rdb, batch.Config{MaxInFlight: 1})
	s.Pause()
	first := make(chan error, 2)
	for i := range 2 {
		go func() {
			got, err := getAll(t.Context(), r, "k")
			if err == nil && got[0] != "v" {
				err = fmt.Errorf("got %q", got)
			}
			first <- err
		}()
		if i == 0 {
			eventually.Holds(t, "the first call is under way", func() bool { return r.InFlight() == 1 })
		}
	}
	eventually.Holds(t, "the second waits", func() bool { return r.Queued() == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if got, err := getAll(ctx, r, "k"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %q, %v", got, err)
	}
	s.Resume()
	for range 2 {
		if err := <-first; err != nil {
			t.Error(err)
		}
	}
	if n := r.Stats().Calls; n != 2 {
		t.Errorf("%d calls were sent, want 2", n)
	}
}

// A reply that is larger than any may be fails its trip; one that is not is read.
func TestReads_ReplyTooLarge(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	for key, size := range map[string]int64{"k": 17 << 20, "large": 15 << 20} {
		if err := rdb.SetRange(t.Context(), key, size-1, "x").Err(); err != nil {
			t.Fatal(err)
		}
	}
	r := newReads(t, rdb, batch.Config{})
	if got, err := getAll(t.Context(), r, "large", "none", "large"); err != nil || len(got[0]) != 15<<20 || got[1] != "" || len(got[2]) != 15<<20 {
		t.Errorf("got %d values, %v", len(got), err)
	}
	if _, err := getAll(t.Context(), r, "k"); err == nil || !strings.Contains(err.Error(), "RESP") {
		t.Errorf("got %v", err)
	}
	if got, err := getAll(t.Context(), r, "none"); err != nil || got[0] != "" {
		t.Errorf("then: %q, %v", got, err)
	}
}

// Only so many commands may wait, and Close returns when all of them are answered.
func TestReads_FullAndClosed(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	rdb := s.Client(t)
	r := batch.NewReads(rdb, batch.Config{MaxInFlight: 1, MaxQueued: 2, Timeout: time.Minute})
	s.Pause()
	var group errgroup.Group
	read := func() error {
		_, err := getAll(t.Context(), r, "k")
		return err
	}
	group.Go(read)
	eventually.Holds(t, "a call is under way", func() bool { return r.InFlight() == 1 })
	group.Go(read)
	group.Go(read)
	eventually.Holds(t, "two wait", func() bool { return r.Queued() == 2 })
	if err := read(); !errors.Is(err, batch.ErrFull) {
		t.Errorf("a third waits: %v", err)
	}
	closed := make(chan struct{})
	go func() {
		r.Close()
		close(closed)
	}()
	eventually.Holds(t, "it takes nothing more", func() bool { return errors.Is(read(), batch.ErrClosed) })
	select {
	case <-closed:
		t.Error("Close did not wait")
	default:
	}
	s.Resume()
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	<-closed
}

func TestReads_ClosedTakesNothing(t *testing.T) {
	t.Parallel()
	r := batch.NewReads(redistest.Start(t).Client(t), batch.Config{Timeout: long})
	r.Close()
	if _, err := getAll(t.Context(), r, "k"); !errors.Is(err, batch.ErrClosed) {
		t.Errorf("got %v", err)
	}
}
