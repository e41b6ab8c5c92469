package ties

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/leaks"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

func TestMain(m *testing.M) { leaks.Verify(m) }

// clock moves when it is told to.
type clock struct{ at atomic.Int64 }

func (c *clock) now() session.Time { return session.Time(c.at.Load()) }

func (c *clock) advance(d time.Duration) { c.at.Add(int64(d / time.Microsecond)) }

// zitadel is what is asked.
type zitadel struct {
	asked, atOnce, most atomic.Int32
	answer              func(ctx context.Context, id string) (session.Tie, error)
}

func (z *zitadel) find(ctx context.Context, id string) (session.Tie, error) {
	z.asked.Add(1)
	n := z.atOnce.Add(1)
	defer z.atOnce.Add(-1)
	for most := z.most.Load(); n > most && !z.most.CompareAndSwap(most, n); most = z.most.Load() {
	}
	return z.answer(ctx, id)
}

func (z *zitadel) wasAsked(t *testing.T, want int32) {
	t.Helper()
	if n := z.asked.Swap(0); n != want {
		t.Errorf("it was asked %d times, want %d", n, want)
	}
}

func open(t *testing.T, r *redistest.Server, z *zitadel, clock *clock) *Ties {
	t.Helper()
	space, err := keys.NewSpace("cr:", 4)
	if err != nil {
		t.Fatal(err)
	}
	client := r.Client(t)
	reads, writes := batch.NewReads(client, batch.Config{}), batch.New(client, batch.Config{})
	ties := New(Config{Find: z.find, Timeout: time.Minute, Keys: space, Reads: reads, Writes: writes, Clock: clock.now})
	t.Cleanup(func() { ties.Close(); reads.Close(); writes.Close() })
	return ties
}

var tie = session.Tie{Session: "1", User: "7"}

func TestTies_HerdAsksOnceAndRedisKeepsIt(t *testing.T) {
	t.Parallel()
	r, clock := redistest.Start(t), &clock{}
	release := make(chan struct{})
	z := &zitadel{answer: func(context.Context, string) (session.Tie, error) { <-release; return tie, nil }}
	ties := open(t, r, z, clock)
	var herd sync.WaitGroup
	for range 50 {
		herd.Go(func() {
			if got, err := ties.Of(t.Context(), "V2_1"); got != tie || err != nil {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	eventually.Holds(t, "it is asked", func() bool { return z.asked.Load() > 0 })
	close(release)
	herd.Wait()
	for _, one := range []*Ties{ties, open(t, r, z, clock)} {
		if got, err := one.Of(t.Context(), "V2_1"); got != tie || err != nil {
			t.Errorf("got %v, %v", got, err)
		}
	}
	z.wasAsked(t, 1)
	if ttl := r.Client(t).PTTL(t.Context(), ties.Keys.Tie("V2_1")).Val(); ttl <= 0 || ttl > keptFor {
		t.Errorf("Redis keeps it for %v", ttl)
	}
}

func TestI2_TiesThatAreNotKnown(t *testing.T) {
	t.Parallel()
	r, clock := redistest.Start(t), &clock{}
	broken := errors.New("broken")
	fails := session.ErrNotFound
	z := &zitadel{answer: func(context.Context, string) (session.Tie, error) { return tie, fails }}
	ties := open(t, r, z, clock)
	fail := func(id string) {
		t.Helper()
		if got, err := ties.Of(t.Context(), id); !errors.Is(err, session.ErrUnavailable) || errors.Is(err, session.ErrNotFound) {
			t.Errorf("got %v, %v", got, err)
		}
	}
	fail("V2_1")
	fail("V2_1")
	z.wasAsked(t, 1)
	clock.advance(absentFor)
	fail("V2_1")
	z.wasAsked(t, 1)
	if err := ties.Learn(t.Context(), "V2_1", tie); err != nil {
		t.Fatal(err)
	}
	if got, err := ties.Of(t.Context(), "V2_1"); got != tie || err != nil {
		t.Errorf("got %v, %v after it was learned", got, err)
	}
	fails = broken
	fail("V2_2")
	fail("V2_2")
	z.wasAsked(t, 2)
	fails = nil
	fail("no ID")
	z.wasAsked(t, 0)
	if err := r.Client(t).Set(t.Context(), ties.Keys.Tie("V2_3"), "damaged", 0).Err(); err != nil {
		t.Fatal(err)
	}
	fail("V2_3")
	r.Kill()
	fail("V2_1")
	z.wasAsked(t, 0)
}

func TestI7_TiesAreWaitedFor(t *testing.T) {
	t.Parallel()
	r, clock := redistest.Start(t), &clock{}
	z := &zitadel{answer: func(ctx context.Context, _ string) (session.Tie, error) { <-ctx.Done(); return tie, ctx.Err() }}
	ties := open(t, r, z, clock)
	ctx, leave := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	for i := range 3 * foundAtOnce {
		callers.Go(func() {
			if _, err := ties.Of(ctx, fmt.Sprint("V2_", i)); !errors.Is(err, session.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
		})
	}
	eventually.Holds(t, "as many are asked for as may be", func() bool { return z.atOnce.Load() == foundAtOnce })
	leave()
	callers.Wait()
	if z.atOnce.Load() == 0 {
		t.Error("what nobody waits for is not looked for any more")
	}
	ties.Close()
	if n, most := z.atOnce.Load(), z.most.Load(); n != 0 || most > foundAtOnce {
		t.Errorf("%d are under way, and %d were at once", n, most)
	}
}
