package cache

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// instant is a point of this process' monotonic clock, in nanoseconds. Wall
// clocks can be set, and Redis' clock is another machine's: neither may decide
// how old a copy is.
type instant int64

// neverProven is before every instant.
const neverProven instant = math.MinInt64 / 2

func (i instant) add(d time.Duration) instant { return i + instant(d) }

// freshness says whether copies may be used now. (I4) Two proofs have to be
// young enough, each as of when its question was sent:
//
//   - the link's, at most bound old: an answer on the link that invalidations
//     come over. Whatever Redis had sent before it has been applied.
//   - the master's, at most bound/2 old: an ordinary connection to the same
//     address reaches the server of the link, and that says it is a master. A
//     deposed master goes on answering, but it hears of no more deletions.
//
// So a copy that is used now can lack only what happened within the bound.
type freshness struct {
	bound time.Duration
	clock func() instant
	// until is the instant from which on copies must not be used.
	until atomic.Int64

	mu           sync.Mutex
	link, master instant
	// lapsed is the older of the two when they lapsed last.
	lapsed instant
}

func newFreshness(bound time.Duration, clock func() instant) *freshness {
	f := &freshness{bound: bound, clock: clock, link: neverProven, master: neverProven, lapsed: neverProven}
	f.until.Store(int64(neverProven))
	return f
}

// proven says whether copies may be used. It is asked last, when an answer has
// been put together.
func (f *freshness) proven() bool { return int64(f.clock()) < f.until.Load() }

// proveLink takes a question on the link, sent at that instant and answered.
func (f *freshness) proveLink(sent instant) {
	f.prove(func() { f.link = max(f.link, sent) })
}

// proveMaster takes a question to the master likewise.
func (f *freshness) proveMaster(sent instant) {
	f.prove(func() { f.master = max(f.master, sent) })
}

// lapse takes back all proofs: what they spoke of has ended.
func (f *freshness) lapse() {
	f.prove(func() {
		if proven := min(f.link, f.master); proven != neverProven {
			f.lapsed = proven
		}
		f.link, f.master = neverProven, neverProven
	})
}

// sinceProven is how long ago both proofs held, be it that they have lapsed
// since. It is negative if they never did.
func (f *freshness) sinceProven() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	proven := min(f.link, f.master)
	if proven == neverProven {
		proven = f.lapsed
	}
	if proven == neverProven {
		return -1
	}
	return time.Duration(f.clock() - proven)
}

func (f *freshness) prove(set func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	set()
	f.until.Store(int64(min(f.link.add(f.bound), f.master.add(f.bound/2))))
}

// age is how long ago the older proof was asked for, the master's counted
// twice because it may be half as old: copies are used while it is below the
// bound. It is negative if there is no proof.
func (f *freshness) age() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.link == neverProven || f.master == neverProven {
		return -1
	}
	now := f.clock()
	return time.Duration(max(now-f.link, 2*(now-f.master)))
}

// linkAge is how old the link's proof is; it ends a link that has gone silent.
func (f *freshness) linkAge() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Duration(f.clock() - f.link)
}
