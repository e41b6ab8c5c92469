package near

import (
	"math"
	"slices"
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

// freshness says whether copies may be used now. (I4) Two proofs of every
// master that sessions are on have to be young enough, each as of when its
// question was sent:
//
//   - the link's, at most bound old: an answer on the link that invalidations
//     come over. Whatever Redis had sent before it has been applied.
//   - the master's, at most bound/2 old: an ordinary connection to the same
//     address reaches the server of the link, and that says it is a master, on
//     a Cluster that of its shards. A deposed master goes on answering, but it
//     hears of no more deletions.
//
// So a copy that is used now can lack only what happened within the bound. All
// masters count together: a search puts copies from several into one answer.
type freshness struct {
	bound time.Duration
	clock func() instant
	// until is the instant from which on copies must not be used.
	until atomic.Int64

	mu sync.Mutex
	// masters has the proofs of each; empty while nothing is followed.
	masters []*proofs
	// lapsed is the oldest of all proofs when they lapsed last.
	lapsed instant
}

// proofs are those of one master. They are guarded by freshness.mu, and worth
// nothing when that has forgotten them.
type proofs struct{ link, master instant }

func newFreshness(bound time.Duration, clock func() instant) *freshness {
	f := &freshness{bound: bound, clock: clock, lapsed: neverProven}
	f.until.Store(int64(neverProven))
	return f
}

// proven says whether copies may be used. It is asked last, when an answer has
// been put together.
func (f *freshness) proven() bool { return int64(f.clock()) < f.until.Load() }

// follow begins anew, with so many masters that nothing is proven of.
func (f *freshness) follow(masters int) []*proofs {
	f.lapse()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.masters = make([]*proofs, masters)
	for i := range f.masters {
		f.masters[i] = &proofs{link: neverProven, master: neverProven}
	}
	return f.masters
}

// lapse takes back all proofs: what they spoke of has ended.
func (f *freshness) lapse() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if oldest := f.oldest(); oldest != neverProven {
		f.lapsed = oldest
	}
	f.masters = nil
	f.until.Store(int64(neverProven))
}

// proveLink takes a question on a link, sent at that instant and answered.
func (f *freshness) proveLink(p *proofs, sent instant) {
	f.prove(func() { p.link = max(p.link, sent) })
}

// proveMaster takes a question to a master, sent at that instant and answered.
func (f *freshness) proveMaster(p *proofs, sent instant) {
	f.prove(func() { p.master = max(p.master, sent) })
}

func (f *freshness) prove(set func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	set()
	if len(f.masters) == 0 {
		return
	}
	until := instant(math.MaxInt64)
	for _, p := range f.masters {
		until = min(until, p.link.add(f.bound), p.master.add(f.bound/2))
	}
	f.until.Store(int64(until))
}

// oldest is the oldest of all proofs, neverProven if one is missing. f.mu is held.
func (f *freshness) oldest() instant {
	if len(f.masters) == 0 {
		return neverProven
	}
	oldest := instant(math.MaxInt64)
	for _, p := range f.masters {
		oldest = min(oldest, p.link, p.master)
	}
	return oldest
}

// gap says that a master was proven to be one, and then not again for more than
// bound/2 until a question that was sent at that instant. In between there may
// have been another, whose changes this one, which does not know that it was
// deposed, has never heard of. Had it been shorter, they would be within the
// bound of what is used by the answer.
func (f *freshness) gap(p *proofs, sent instant) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return p.master != neverProven && sent > p.master.add(f.bound/2)
}

// sinceProven is how long ago all proofs held, even if they have lapsed since. It
// is negative if they never did.
func (f *freshness) sinceProven() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	proven := f.oldest()
	if proven == neverProven {
		proven = f.lapsed
	}
	if proven == neverProven {
		return -1
	}
	return time.Duration(f.clock() - proven)
}

// age is how long ago the oldest proof was asked for, a master's counted twice
// because it may be half as old: copies are used while it is below the bound.
// It is negative if a proof is missing.
func (f *freshness) age() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.oldest() == neverProven {
		return -1
	}
	now, age := f.clock(), instant(0)
	for _, p := range f.masters {
		age = max(age, p.age(now))
	}
	return time.Duration(age)
}

// ageOf is age of one master alone.
func (f *freshness) ageOf(p *proofs) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Contains(f.masters, p) || min(p.link, p.master) == neverProven {
		return -1
	}
	return time.Duration(p.age(f.clock()))
}

// age is how old the proofs are at that instant, which is not before them.
func (p *proofs) age(now instant) instant { return max(now-p.link, 2*(now-p.master)) }

// linkAge is how old a link's proof is; it ends a link that has gone silent.
func (f *freshness) linkAge(p *proofs) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Duration(f.clock() - p.link)
}
