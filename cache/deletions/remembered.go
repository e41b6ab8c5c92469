// Package deletions makes deletions hold when a failover, or a restored snapshot, undoes them: this process remembers its
// deletions (Remembered), refuses a session that has come back, and deletes it again (redelete.go). Look here when a deleted
// session is answered, or when a session is refused that should be there. Waiting for replicas is in package cache.
package deletions

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// Remembered holds the deletions that this process remembers: its own, and those
// whose tombstones it has read. A failover, or a restored snapshot, may bring a
// deleted session back and take its tombstone away; the deletion is still
// remembered here, and no session read from Redis gets past it. (I4)
//
// A remembered deletion says what its tombstone said: no version with a sequence
// up to the deletion's may exist, for TombstoneFor after the deletion. It lasts no
// longer than that, so that whatever Redis may accept again is accepted here too.
// All are forgotten when the process ends.
//
// Their number is bounded; the oldest go first. It is safe for concurrent use; nil
// remembers nothing and forbids nothing.
type Remembered struct {
	count   atomic.Int64 // deletions in all: no lock is taken while there are none
	seed    maphash.Seed
	stripes []stripe
	perEach int // most deletions of a stripe
	// again has the sessions that have come back; Run deletes them again.
	again chan session.ID
}

type stripe struct {
	mu    sync.Mutex
	of    map[session.ID]*deletion // to assign to a key that is there would replace it by a part of a document
	order []session.ID             // oldest first, each key of of once
}

// deletion is one remembered deletion.
type deletion struct {
	sequence uint64
	until    session.Time
	// queued says that the session has come back and is in Remembered.again.
	queued bool
}

const (
	stripeCount = 64
	// queueSize is how many returned sessions may wait to be deleted again. Further
	// ones are refused all the same, and are queued when they are read again, or in
	// the next round.
	queueSize = 1024
)

// NewRemembered returns a Remembered for up to most deletions, or nil, which
// remembers nothing, if most is not above 0.
func NewRemembered(most int) *Remembered {
	if most <= 0 {
		return nil
	}
	n := stripeCount
	if most < n*n {
		n = 1 // so few that shares of it would be uneven
	}
	r := &Remembered{seed: maphash.MakeSeed(), stripes: make([]stripe, n), perEach: (most + n - 1) / n, again: make(chan session.ID, queueSize)}
	for i := range r.stripes {
		r.stripes[i].of = make(map[session.ID]*deletion)
	}
	return r
}

func (r *Remembered) stripe(id session.ID) *stripe {
	return &r.stripes[maphash.String(r.seed, string(id))%uint64(len(r.stripes))]
}

// Add remembers the deletion of a session with this sequence, which happened at
// the date deleted. If a session was deleted several times, the highest sequence
// counts, for as long as the last of the deletions.
func (r *Remembered) Add(id session.ID, sequence uint64, deleted, now session.Time) {
	until := deleted.Add(TombstoneFor)
	if r == nil || until <= now {
		return
	}
	st := r.stripe(id)
	st.mu.Lock()
	defer st.mu.Unlock()
	if have, ok := st.of[id]; ok {
		have.sequence, have.until = max(have.sequence, sequence), max(have.until, until)
		return
	}
	for len(st.order) >= r.perEach {
		r.drop(st)
	}
	id = session.ID(strings.Clone(string(id))) // it may be a part of a document
	st.of[id] = &deletion{sequence: sequence, until: until}
	st.order = append(st.order, id)
	r.count.Add(1)
}

// drop forgets the oldest deletion of a stripe, whose lock is held.
func (r *Remembered) drop(st *stripe) {
	delete(st.of, st.order[0])
	st.order[0] = "" // the array lives on
	st.order = st.order[1:]
	r.count.Add(-1)
}

// expire forgets the deletions whose time is over.
func (r *Remembered) expire(now session.Time) {
	for i := range r.stripes {
		st := &r.stripes[i]
		st.mu.Lock()
		for len(st.order) > 0 && st.of[st.order[0]].until <= now {
			r.drop(st)
		}
		st.mu.Unlock()
	}
}

// Last returns the sequence up to which no version of a session may be there;
// ok is false if nothing is known.
func (r *Remembered) Last(id session.ID, now session.Time) (sequence uint64, ok bool) {
	if r == nil || r.count.Load() == 0 {
		return 0, false
	}
	st := r.stripe(id)
	st.mu.Lock()
	defer st.mu.Unlock()
	have, ok := st.of[id]
	if !ok || have.until <= now {
		return 0, false
	}
	return have.sequence, true
}

// Forbids says whether what is stored was deleted and has come back.
func (r *Remembered) Forbids(stored *session.Stored, now session.Time) bool {
	if r == nil || stored == nil || r.count.Load() == 0 {
		return false
	}
	last, ok := r.Last(stored.ID, now)
	return ok && stored.Sequence <= last
}

// Pass returns stored, or nil if it was deleted and has come back: then it is
// queued for Run, which deletes it again.
func (r *Remembered) Pass(stored *session.Stored, now session.Time) *session.Stored {
	if !r.Forbids(stored, now) {
		return stored
	}
	r.queue(stored.ID)
	return nil
}

// queue hands a returned session to Run, which deletes it again; it is queued once at a time.
func (r *Remembered) queue(id session.ID) {
	st := r.stripe(id)
	st.mu.Lock()
	defer st.mu.Unlock()
	have, ok := st.of[id]
	if !ok || have.queued {
		return
	}
	select {
	case r.again <- session.ID(strings.Clone(string(id))):
		have.queued = true
	default: // the queue is full: it comes when it is read again
	}
}

// unqueue ends what queue began.
func (r *Remembered) unqueue(id session.ID) {
	st := r.stripe(id)
	st.mu.Lock()
	defer st.mu.Unlock()
	if have, ok := st.of[id]; ok {
		have.queued = false
	}
}

// each calls visit with the IDs of all remembered deletions, at most size at a
// time, until it returns false.
func (r *Remembered) each(size int, visit func([]session.ID) bool) {
	chunk := make([]session.ID, 0, size)
	for i := range r.stripes {
		st := &r.stripes[i]
		st.mu.Lock()
		ids := append([]session.ID(nil), st.order...)
		st.mu.Unlock()
		for _, id := range ids {
			if chunk = append(chunk, id); len(chunk) == size {
				if !visit(chunk) {
					return
				}
				chunk = chunk[:0]
			}
		}
	}
	if len(chunk) > 0 {
		visit(chunk)
	}
}

// Len is how many deletions are remembered now.
func (r *Remembered) Len() int {
	if r == nil {
		return 0
	}
	return int(r.count.Load())
}
