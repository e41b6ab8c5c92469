package near

import (
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/cloakroom-dev/cloakroom/internal/bounded"
)

// copies has the near cache's copies of one kind: sessions by ID, the session IDs
// of users, or the sessions behind tokens. Nothing gets in except by begin, load,
// end. A load that an invalidation of its key overtook answers the callers that
// wait for it, and is not kept. (I3)
//
// How the steps can fall, for a load L and an invalidation I of its key:
//
//	L begin, L reads Redis, I, L end: I marks the load, end drops what it read.
//	L begin, I, L reads Redis, L end: dropped too, though what it read is good.
//	I, L begin, …: what made Redis send I was there before L read it.
//	L end, I: the copy is removed.
//
// Marking and keeping happen under one lock, so there is no gap between them.
type copies[K comparable, V any] struct {
	epochs *epochs
	source *source // nil: ordinary connections
	held   bounded.Cache[K, copyOf[V]]
	// absent are keys that a load found nothing for; nil if these are not held.
	absent bounded.Cache[K, absence]
	// keyOf returns the key of a value, an equal one that is a part of it, so
	// that looking it up reads no other memory; nil takes an owned one.
	keyOf func(V) K
	// own returns a key equal to the caller's, which may be a part of a larger
	// text, that keeps nothing else in memory; nil takes the caller's.
	own     func(K) K
	seed    maphash.Seed
	stripes [64]stripe[K, V]
	marks   *marks // nil where nobody takes marks

	hits, misses, invalidations atomic.Uint64
}

// stripe has the loads under way of a part of the keys.
type stripe[K comparable, V any] struct {
	mu    sync.Mutex
	loads map[K]*load[V]
}

// copyOf is a copy and the epoch of its load.
type copyOf[V any] struct {
	epoch uint64
	value V
}

// absence says that a load of this epoch, begun at this instant, found nothing.
type absence struct {
	epoch uint64
	begun instant
}

// load is one load under way. Its result may be read when done is closed.
type load[V any] struct {
	epoch uint64
	begun instant
	// overtaken is guarded by the stripe until done is closed.
	overtaken bool
	done      chan struct{}
	value     V
	err       error
}

// newCopies returns copies that take up to maxBytes, as weigh tells them, and the absence of up to maxAbsent keys.
func newCopies[K comparable, V any](e *epochs, maxBytes uint64, maxAbsent int, weigh func(K, V) uint32) *copies[K, V] {
	s := &copies[K, V]{epochs: e, seed: maphash.MakeSeed()}
	s.held = bounded.InBytes(maxBytes, func(key K, c copyOf[V]) uint32 { return weigh(key, c.value) })
	if maxAbsent > 0 {
		s.absent = bounded.InEntries[K, absence](maxAbsent)
	}
	for i := range s.stripes {
		s.stripes[i].loads = make(map[K]*load[V])
	}
	return s
}

// get returns the copy of a key, if there is one of this epoch. Whether copies
// may be used now is for the caller to ask, after it.
func (s *copies[K, V]) get(key K) (value V, ok bool) { return s.getOf(key, s.epochs.now()) }

// getOf returns the copy of a key, if there is one of that epoch.
func (s *copies[K, V]) getOf(key K, epoch uint64) (value V, ok bool) {
	c, ok := s.held.GetIfPresent(key)
	return c.value, ok && c.epoch == epoch
}

// missing says whether a load found nothing under key, less than the bound ago.
func (s *copies[K, V]) missing(key K, since instant) bool {
	if s.absent == nil {
		return false
	}
	a, ok := s.absent.GetIfPresent(key)
	return ok && a.epoch == s.epochs.now() && a.begun > since
}

func (s *copies[K, V]) hash(key K) uint64 { return maphash.Comparable(s.seed, key) }

func (s *copies[K, V]) stripe(key K) *stripe[K, V] {
	return &s.stripes[s.hash(key)%uint64(len(s.stripes))]
}

// begin begins to load a key, or finds that another caller does. A caller that leads
// then reads Redis, and must call end.
func (s *copies[K, V]) begin(key K, now instant) (l *load[V], leads bool) {
	epoch := s.epochs.now()
	st := s.stripe(key)
	st.mu.Lock()
	defer st.mu.Unlock()
	if l := st.loads[key]; l != nil && l.epoch == epoch {
		return l, false
	}
	l = &load[V]{epoch: epoch, begun: now, done: make(chan struct{})}
	st.loads[key] = l
	return l, true
}

// end ends a load with what it found, and keeps that if it may. (I3)
func (s *copies[K, V]) end(key K, l *load[V], value V, found bool, err error) {
	st := s.stripe(key)
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.loads[key] == l {
		delete(st.loads, key)
	}
	l.value, l.err = value, err
	switch {
	case err != nil, l.overtaken, l.epoch != s.epochs.now(), !s.epochs.linked(l.epoch):
	case found:
		if s.keyOf != nil {
			key = s.keyOf(value)
		} else {
			key = s.owned(key)
		}
		s.held.Set(key, copyOf[V]{l.epoch, value})
		s.changed(key) // the copy before it may have been driven out: what a page knows of that may be older
	case s.absent != nil:
		s.absent.Set(s.owned(key), absence{l.epoch, l.begun})
	}
	close(l.done)
}

func (s *copies[K, V]) owned(key K) K {
	if s.own == nil {
		return key
	}
	return s.own(key)
}

// invalidate removes what is held of a key, and makes sure that no load that
// has begun will be kept, nor joined. It says whether there was a copy.
func (s *copies[K, V]) invalidate(key K) (held bool) {
	st := s.stripe(key)
	st.mu.Lock()
	defer st.mu.Unlock()
	if l := st.loads[key]; l != nil {
		l.overtaken = true
		delete(st.loads, key)
	}
	_, held = s.held.Invalidate(key)
	if s.absent != nil {
		_, absent := s.absent.Invalidate(key)
		held = held || absent
	}
	s.changed(key) // after the copy is gone: a page that has seen it took its mark before (I3)
	s.invalidations.Add(1)
	return held
}

// supersede removes what is held of a key, and lets no load of it be kept, unless
// same says that Redis has just answered what the copy holds. found says that
// Redis has something at all.
func (s *copies[K, V]) supersede(key K, found bool, same func(held V) bool) {
	st := s.stripe(key)
	st.mu.Lock()
	c, held := s.held.GetIfPresent(key)
	absent := false
	if s.absent != nil {
		_, absent = s.absent.GetIfPresent(key)
	}
	loading := st.loads[key] != nil
	st.mu.Unlock()
	if loading || held && !(found && same(c.value)) || absent && found {
		s.invalidate(key)
	} else if !held {
		s.changed(key)
	}
}

// flush forgets everything. The epoch has been raised before, so that nothing
// of it counts any more, whenever this is done.
func (s *copies[K, V]) flush() {
	s.held.InvalidateAll()
	if s.absent != nil {
		s.absent.InvalidateAll()
	}
}

// wait waits for another caller's load. ok is false if that tells nothing to
// this caller: it failed, perhaps only for its own caller, or was overtaken,
// perhaps by what was there before this caller came.
func (s *copies[K, V]) wait(ctx context.Context, l *load[V]) (value V, ok bool, err error) {
	select {
	case <-l.done:
		if l.err != nil || l.overtaken || l.epoch != s.epochs.now() {
			return value, false, nil
		}
		return l.value, true, nil
	case <-ctx.Done():
		return value, false, ctx.Err()
	}
}

// count counts answers with and without a copy.
func (s *copies[K, V]) count(hits, misses int) {
	if hits > 0 {
		s.hits.Add(uint64(hits))
	}
	if misses > 0 {
		s.misses.Add(uint64(misses))
	}
}

// epochs tells stretches of time apart in which no invalidation can have been
// lost. Copies and loads of another epoch than the present one are worth
// nothing. Odd epochs have a link that invalidations come over.
type epochs struct{ n atomic.Uint64 }

func (e *epochs) now() uint64 { return e.n.Load() }

// linked says whether invalidations come in this epoch.
func (e *epochs) linked(epoch uint64) bool { return epoch%2 == 1 }

// link begins an epoch with a link, unlink ends it. Both may be repeated.
func (e *epochs) link()   { e.next(1) }
func (e *epochs) unlink() { e.next(0) }

// renew begins another epoch with the same link, if there is one.
func (e *epochs) renew() {
	for {
		n := e.n.Load()
		if !e.linked(n) || e.n.CompareAndSwap(n, n+2) {
			return
		}
	}
}

func (e *epochs) next(parity uint64) {
	for {
		n := e.n.Load()
		next := n + 1
		if next%2 != parity {
			next++
		}
		if e.n.CompareAndSwap(n, next) {
			return
		}
	}
}
