package cache

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// graves are the deletions that this process remembers: those that it has made,
// and those that it has met the tombstones of. A failover, or a snapshot that is
// restored, may bring a deleted session back and take its tombstone away; the
// grave is still there, and nothing that comes off Redis goes past it. (I4)
//
// A grave says no more than its tombstone did: that no version with a sequence
// up to the deletion's may be there, for tombstoneFor from the deletion on. It
// lasts no longer than that, so that whatever Redis itself may accept again is
// accepted here too. Graves are gone when the process ends.
//
// Their number is bounded; the oldest go first. It is safe for concurrent use.
type graves struct {
	count   atomic.Int64 // graves in all: nobody takes a lock where there are none
	seed    maphash.Seed
	stripes []graveStripe
	perEach int // most graves of a stripe
	// again are sessions that have come back, for who deletes them again.
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
	// queued says that the session has come back and is in graves.again.
	queued bool
}

const (
	graveStripes = 64
	// graveQueue is how many returned sessions wait to be deleted again. Those
	// beyond are refused all the same, and come when they are read again, or
	// with the next round.
	graveQueue = 1024
)

// newGraves returns room for most graves, or nil, which remembers nothing, if
// that is not above 0.
func newGraves(most int) *graves {
	if most <= 0 {
		return nil
	}
	n := graveStripes
	if most < n*n {
		n = 1 // so few that shares of it would be uneven
	}
	g := &graves{seed: maphash.MakeSeed(), stripes: make([]graveStripe, n), perEach: (most + n - 1) / n, again: make(chan session.ID, graveQueue)}
	for i := range g.stripes {
		g.stripes[i].of = make(map[session.ID]*grave)
	}
	return g
}

func (g *graves) stripe(id session.ID) *graveStripe {
	return &g.stripes[maphash.String(g.seed, string(id))%uint64(len(g.stripes))]
}

// dig remembers the deletion of a session with this sequence, which happened at
// a date. Of several deletions of a session the one with the highest sequence
// counts, as long as the last of them.
func (g *graves) dig(id session.ID, sequence uint64, deleted, now session.Time) {
	until := deleted.Add(tombstoneFor)
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
func (g *graves) drop(st *graveStripe) {
	delete(st.of, st.order[0])
	st.order[0] = "" // the array lives on
	st.order = st.order[1:]
	g.count.Add(-1)
}

// expire forgets the graves that have ended.
func (g *graves) expire(now session.Time) {
	for i := range g.stripes {
		st := &g.stripes[i]
		st.mu.Lock()
		for len(st.order) > 0 && st.of[st.order[0]].until <= now {
			g.drop(st)
		}
		st.mu.Unlock()
	}
}

// last returns the sequence up to which no version of a session may be there;
// ok is false if nothing is known.
func (g *graves) last(id session.ID, now session.Time) (sequence uint64, ok bool) {
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

// forbids says whether what is stored was deleted and has come back.
func (g *graves) forbids(stored *session.Stored, now session.Time) bool {
	if g == nil || stored == nil || g.count.Load() == 0 {
		return false
	}
	last, ok := g.last(stored.ID, now)
	return ok && stored.Sequence <= last
}

// pass returns stored, or nil if it was deleted and has come back: then it is
// going to be deleted again, too.
func (g *graves) pass(stored *session.Stored, now session.Time) *session.Stored {
	if !g.forbids(stored, now) {
		return stored
	}
	g.queue(stored.ID)
	return nil
}

// queue hands a returned session to who deletes it again, once at a time.
func (g *graves) queue(id session.ID) {
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
func (g *graves) unqueue(id session.ID) {
	st := g.stripe(id)
	st.mu.Lock()
	defer st.mu.Unlock()
	if have, ok := st.of[id]; ok {
		have.queued = false
	}
}

// each calls visit with parts of all IDs that there are graves of, of at most
// size, until it returns false.
func (g *graves) each(size int, visit func([]session.ID) bool) {
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
