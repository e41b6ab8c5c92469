package fairrate

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	alice = netip.MustParsePrefix("192.0.2.1/32")
	bob   = netip.MustParsePrefix("198.51.100.1/32")
)

// limiter is one of a bubble, by whose clock it goes. It ends with the test, and then nobody must be in line.
func limiter(t *testing.T, c Config) *Limiter {
	t.Helper()
	c.Now = time.Now
	l := New(c)
	t.Cleanup(func() {
		l.Close()
		if len(l.line.byName) > 0 || l.line.waiting != 0 || l.line.members.Len() > 0 {
			t.Errorf("left in line: %d, of %d networks", l.line.waiting, len(l.line.byName))
		}
	})
	return l
}

// order is who was served, in order.
type order struct {
	mu     sync.Mutex
	served []string
	ended  sync.WaitGroup
}

// take waits for n permits at the same time, each as a caller of its own; it returns when all wait.
func (o *order) take(ctx context.Context, l *Limiter, name string, client netip.Prefix, n int) {
	for range n {
		o.ended.Go(func() {
			if l.Take(ctx, client) == nil {
				o.mu.Lock()
				o.served = append(o.served, name)
				o.mu.Unlock()
			}
		})
		synctest.Wait()
	}
}

func (o *order) is(t *testing.T, want ...string) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.Equal(o.served, want) {
		t.Errorf("served were %v, want %v", o.served, want)
	}
}

// However many ask, no more get a permit than the rate and the burst allow, and no fewer.
func TestTake_GivesTheRateAndABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, Config{PerSecond: 10, Burst: 5, Waiting: 1000, WaitingOfOne: 1000})
		var o order
		ctx, stop := context.WithCancel(t.Context())
		o.take(ctx, l, "a", alice, 400)
		given := func(want uint64) {
			t.Helper()
			synctest.Wait()
			if got := l.Stats(); got.Given != want {
				t.Errorf("%d permits were given, want %d", got.Given, want)
			}
		}
		given(5)
		<-time.After(time.Second + time.Millisecond)
		given(15)
		<-time.After(10 * time.Second)
		given(115)
		stop()
		o.ended.Wait()
		given(115)
		<-time.After(time.Hour)
		o.take(t.Context(), l, "b", bob, 6)
		given(120) // a burst, no more
		<-time.After(time.Second)
		o.ended.Wait()
		given(121)
	})
}

// Clients are served in turn, and in each the first to come.
func TestTake_ClientsHaveTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, Config{PerSecond: 1, Burst: 1, Waiting: 1000, WaitingOfOne: 100})
		var o order
		o.take(t.Context(), l, "first", alice, 1) // the burst
		for i := range 3 {
			o.take(t.Context(), l, fmt.Sprintf("a%d", i), alice, 1)
		}
		o.take(t.Context(), l, "b0", bob, 1)
		o.take(t.Context(), l, "b1", bob, 1)
		<-time.After(time.Minute)
		o.ended.Wait()
		o.is(t, "first", "a0", "b0", "a1", "b1", "a2")
	})
}

// Who has a whole network of addresses has the turns of one neighbour.
func TestTake_WideNetworksHaveTurns(t *testing.T) {
	for name, of := range map[string]func(i byte) netip.Prefix{
		"IPv4": func(i byte) netip.Prefix { return netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, i}), 32) },
		"IPv6": func(i byte) netip.Prefix {
			return netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 1, i}), 64)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := limiter(t, Config{PerSecond: 1, Burst: 1, Waiting: 1000, WaitingOfOne: 100})
				var o order
				o.take(t.Context(), l, "first", alice, 1)
				for i := range byte(100) {
					o.take(t.Context(), l, fmt.Sprintf("n%d", i), of(i), 1)
				}
				o.take(t.Context(), l, "b0", bob, 1)
				o.take(t.Context(), l, "b1", bob, 1)
				<-time.After(4 * time.Second)
				synctest.Wait()
				o.is(t, "first", "n0", "b0", "n1", "b1")
				<-time.After(time.Hour)
				o.ended.Wait()
			})
		})
	}
}

// The line is bounded. A client that has more than its neighbours in it makes room for them.
func TestTake_FullLineMakesRoomForWhoHasLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, Config{PerSecond: 1, Burst: 1, Waiting: 4, WaitingOfOne: 3})
		var o order
		ctx, stop := context.WithCancel(t.Context())
		o.take(ctx, l, "first", alice, 1)
		o.take(ctx, l, "a", alice, 3)
		if err := l.Take(ctx, alice); !errors.Is(err, ErrFull) {
			t.Errorf("a fourth of one client: %v", err)
		}
		o.take(ctx, l, "b", bob, 2) // the second one in the place of a's last
		if got := l.Stats(); got.Waiting != 4 || got.Refused != 2 {
			t.Errorf("%+v", got)
		}
		if err := l.Take(ctx, bob); !errors.Is(err, ErrFull) {
			t.Errorf("there is room for a third of two that have two each: %v", err)
		}
		c, d := netip.MustParsePrefix("203.0.113.1/32"), netip.MustParsePrefix("2001:db8::/64")
		o.take(ctx, l, "c", c, 1)
		o.take(ctx, l, "d", d, 1)
		if err := l.Take(ctx, netip.Prefix{}); !errors.Is(err, ErrFull) {
			t.Errorf("there is room for one more where all have one: %v", err)
		}
		if err := l.Take(ctx, netip.MustParsePrefix("192.0.2.2/32")); !errors.Is(err, ErrFull) {
			t.Errorf("there is room for a neighbour where all have one: %v", err)
		}
		<-time.After(10 * time.Second)
		o.ended.Wait()
		stop()
		o.is(t, "first", "a", "b", "c", "d")
	})
}

// Who leaves takes no permit along, and those behind move up.
func TestTake_WhoLeavesLosesNothingForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, Config{PerSecond: 1, Burst: 1, Waiting: 10, WaitingOfOne: 10})
		var o order
		o.take(t.Context(), l, "first", alice, 1)
		ctx, stop := context.WithCancel(t.Context())
		o.take(ctx, l, "gone", alice, 3)
		o.take(t.Context(), l, "a", alice, 1)
		stop()
		synctest.Wait()
		<-time.After(time.Second + time.Millisecond)
		o.ended.Wait()
		o.is(t, "first", "a")
		if err := l.Take(ctx, alice); !errors.Is(err, context.Canceled) {
			t.Errorf("who has left before: %v", err)
		}
		if got := l.Stats(); got != (Stats{Given: 2, Refused: 4}) {
			t.Errorf("%+v", got)
		}
	})
}

// A clock that is put back stops nobody for longer, and gives nothing away.
func TestTake_ClockIsPutBack(t *testing.T) {
	now := time.Unix(1000, 0)
	l := New(Config{PerSecond: 1, Burst: 1, Waiting: 1, WaitingOfOne: 1, Now: func() time.Time { return now }})
	defer l.Close()
	done, stop := context.WithCancel(t.Context())
	stop()
	may := func(want bool) {
		t.Helper()
		l.mu.Lock()
		l.refill()
		got := l.permits >= 1
		l.mu.Unlock()
		if got != want {
			t.Errorf("there is a permit: %v, want %v", got, want)
		}
	}
	if err := l.Take(t.Context(), alice); err != nil {
		t.Fatal(err)
	}
	now = now.Add(-time.Hour)
	may(false)
	now = now.Add(time.Second)
	may(true)
	if err := l.Take(done, alice); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	may(true)
}

func TestClose_SendsAllAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{PerSecond: 1, Burst: 1, Waiting: 10, WaitingOfOne: 10, Now: time.Now})
		var waiting sync.WaitGroup
		for range 3 {
			waiting.Go(func() { _ = l.Take(t.Context(), bob) })
		}
		synctest.Wait()
		l.Close()
		waiting.Wait()
		if err := l.Take(t.Context(), bob); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		l.Close()
	})
}

// Whoever comes and goes in whatever order, nobody waits for ever, the line is never longer than it may be, and in the end it is empty.
func TestTake_AnyOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, Config{PerSecond: 100, Burst: 3, Waiting: 20, WaitingOfOne: 4})
		r := rand.New(rand.NewPCG(1, 2))
		var all sync.WaitGroup
		began := time.Now()
		for range 3000 {
			client := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(r.IntN(3)), byte(r.IntN(9))}), 32)
			ctx, stop := context.WithTimeout(t.Context(), time.Duration(r.IntN(100))*time.Millisecond)
			all.Go(func() {
				defer stop()
				_ = l.Take(ctx, client)
			})
			if got := l.Stats().Waiting; got > 20 {
				t.Errorf("%d wait", got)
			}
			<-time.After(time.Duration(r.IntN(4)) * time.Millisecond)
		}
		all.Wait()
		got := l.Stats()
		if most := uint64(time.Since(began).Seconds()*100) + 3; got.Given > most || got.Given+got.Refused != 3000 {
			t.Errorf("%+v, and the rate allows %d", got, most)
		}
	})
}
