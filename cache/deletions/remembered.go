// Package deletions has deletions hold that a failover, or a snapshot which is restored, takes back: this process remembers
// them, refuses what has come back, and deletes it again. Look here when a deleted session is answered, or when one is
// refused that may be there. What waits for replicas, so that less is taken back, is in package cache.
package deletions

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// Graves are the deletions that this process remembers: those that it has made,
// and those that it has met the tombstones of. A failover, or a snapshot that is
// restored, may bring a deleted session back and take its tombstone away; the
// grave is still there, and nothing that comes off Redis goes past it. (I4)
//
// A grave says no more than its tombstone did: that no version with a sequence
// up to the deletion's may be there, for TombstoneFor from the deletion on. It
// lasts no longer than that, so that whatever Redis itself may accept again is
// accepted here too. Graves are gone when the process ends.
//
// Their number is bounded; the oldest go first. It is safe for concurrent use; nil
// remembers nothing, and forbids nothing.
type Graves struct {
	count   atomic.Int64 // graves in all: nobody takes a lock where there are none
	seed    maphash.Seed
	stripes []graveStripe
	perEach int // most graves of a stripe
	// again are sessions that have come back, for Run, which deletes them again.
	again chan session.ID
}

type graveStripe struct {
	mu    sync.Mutex
	of    map[session.ID]*grave // to assign to a key that is there would replace it by a part of a document
	order []session.ID          // oldest first, each of of once
}

// grave is one deletion that is remembered.
type grave struct {
	sequence uint64
	until    session.Time
	// queued says that the session has come back and is in Graves.again.
	queued bool
}

const (
	graveStripes = 64
	// graveQueue is how many returned sessions wait to be deleted again. Those
	// beyond are refused all the same, and come when they are read again, or
	// with the next round.
	graveQueue = 1024
)

// New returns room for most graves, or nil, which remembers nothing, if
// that is not above 0.
func New(most int) *Graves {
	if most <= 0 {
		return nil
	}
	n := graveStripes
	if most < n*n {
		n = 1 // so few that shares of it would be uneven
	}
	g := &Graves{seed: maphash.MakeSeed(), stripes: make([]graveStripe, n), perEach: (most + n - 1) / n, again: make(chan session.ID, graveQueue)}
	for i := range g.stripes {
		g.stripes[i].of = make(map[session.ID]*grave)
	}
	return g
}

func (g *Graves) stripe(id session.ID) *graveStripe {
	return &g.stripes[maphash.String(g.seed, string(id))%uint64(len(g.stripes))]
}

// Dig remembers the deletion of a session with this sequence, which happened at
// a date. Of several deletions of a session the one with the highest sequence
// counts, as long as the last of them.
func (g *Graves) Dig(id session.ID, sequence uint64, deleted, now session.Time) {
	until := deleted.Add(TombstoneFor)
	if g == nil || until <= now {
		return
	}
	st := g.stripe(id)
	st.mu.Lock()
	defer st.mu.Unlock()
	if have, ok := st.of[id]; ok {
		have.sequence, have.until = max(have.sequence, sequence), max(have.until, until)
		return
	}
	for len(st.order) >= g.perEach {
		g.drop(st)
	}
	id = session.ID(strings.Clone(string(id))) // it may be a part of a document
	st.of[id] = &grave{sequence: sequence, until: until}
	st.order = append(st.order, id)
	g.count.Add(1)
}

// drop forgets the oldest grave of a stripe, whose lock is held.
func (g *Graves) drop(st *graveStripe) {
	delete(st.of, st.order[0])
	st.order[0] = "" // the array lives on
	st.order = st.order[1:]
	g.count.Add(-1)
}

// expire forgets the graves that have ended.
func (g *Graves) expire(now session.Time) {
	for i := range g.stripes {
		st := &g.stripes[i]
		st.mu.Lock()
		for len(st.order) > 0 && st.of[st.order[0]].until <= now {
			g.drop(st)
		}
		st.mu.Unlock()
	}
}

// Last returns the sequence up to which no version of a session may be there;
// ok is false if nothing is known.
func (g *Graves) Last(id session.ID, now session.Time) (sequence uint64, ok bool) {
	if g == nil || g.count.Load() == 0 {
		return 0, false
	}
	st := g.stripe(id)
	st.mu.Lock()
	defer st.mu.Unlock()
	have, ok := st.of[id]
	if !ok || have.until <= now {
		return 0, false
	}
	return have.sequence, true
}

// Forbids says whether what is stored was deleted and has come back.
func (g *Graves) Forbids(stored *session.Stored, now session.Time) bool {
	if g == nil || stored == nil || g.count.Load() == 0 {
		return false
	}
	last, ok := g.Last(stored.ID, now)
	return ok && stored.Sequence <= last
}

// Pass returns stored, or nil if it was deleted and has come back: then it is
// going to be deleted again by Run, too.
func (g *Graves) Pass(stored *session.Stored, now session.Time) *session.Stored {
	if !g.Forbids(stored, now) {
		return stored
	}
	g.queue(stored.ID)
	return nil
}

// queue hands a returned session to who deletes it again, once at a time.
func (g *Graves) queue(id session.ID) {
	st := g.stripe(id)
	st.mu.Lock()
	defer st.mu.Unlock()
	have, ok := st.of[id]
	if !ok || have.queued {
		return
	}
	select {
	case g.again <- session.ID(strings.Clone(string(id))):
		have.queued = true
	default: // the queue is full: it comes when it is read again
	}
}

// unqueue ends what queue began.
func (g *Graves) unqueue(id session.ID) {
	st := g.stripe(id)
	st.mu.Lock()
	defer st.mu.Unlock()
	if have, ok := st.of[id]; ok {
		have.queued = false
	}
}

// each calls visit with parts of all IDs that there are graves of, of at most
// size, until it returns false.
func (g *Graves) each(size int, visit func([]session.ID) bool) {
	part := make([]session.ID, 0, size)
	for i := range g.stripes {
		st := &g.stripes[i]
		st.mu.Lock()
		ids := append([]session.ID(nil), st.order...)
		st.mu.Unlock()
		for _, id := range ids {
			if part = append(part, id); len(part) == size {
				if !visit(part) {
					return
				}
				part = part[:0]
			}
		}
	}
	if len(part) > 0 {
		visit(part)
	}
}

// Remembered is how many deletions are remembered now.
func (g *Graves) Remembered() int {
	if g == nil {
		return 0
	}
	return int(g.count.Load())
}
