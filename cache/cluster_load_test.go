package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
)

// teller writes and reads sessions that nobody else writes, and knows what of each there may be.
type teller struct {
	s    *testStore
	user string
	rand *rand.Rand
	ids  []session.ID
	// may are the sequences that a session may have, 0 for none. What was answered leaves one; what was not may happen
	// even later, until another write is answered.
	may     map[session.ID][]uint64
	highest uint64
	done    atomic.Int64 // calls that were answered
	faults  []string
}

func newTeller(s *testStore, n int) *teller {
	w := &teller{s: s, user: fmt.Sprint("u", n), rand: rand.New(rand.NewPCG(uint64(n), 1)), may: map[session.ID][]uint64{}}
	for i := range 40 {
		id := session.ID(fmt.Sprintf("w%d-%d", n, i))
		w.ids = append(w.ids, id)
		w.may[id] = []uint64{0}
	}
	return w
}

func (w *teller) fault(format string, args ...any) {
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
}

// step does one thing.
func (w *teller) step(ctx context.Context) {
	id := w.ids[w.rand.IntN(len(w.ids))]
	if w.rand.IntN(8) == 0 {
		w.search(ctx)
		return
	}
	read := w.s.Get
	writes := w.rand.IntN(2) == 0
	if writes {
		read = w.s.GetFresh
	}
	have, err := read(ctx, id)
	switch {
	case errors.Is(err, session.ErrUnavailable):
		return
	case errors.Is(err, session.ErrNotFound):
		if !slices.Contains(w.may[id], 0) {
			w.fault("%s is not found, and has one of the sequences %v", id, w.may[id]) // I2
		}
	case err != nil:
		w.fault("%s: %v", id, err)
	case !slices.Contains(w.may[id], have.Sequence):
		w.fault("%s has the sequence %d, want one of %v", id, have.Sequence, w.may[id])
	}
	w.done.Add(1)
	if writes {
		w.write(ctx, id, have)
	}
}

// write replaces or deletes what was read.
func (w *teller) write(ctx context.Context, id session.ID, have *session.Stored) {
	w.highest += 2
	becomes := w.highest
	var err error
	if have != nil && w.rand.IntN(4) == 0 {
		becomes = 0
		_, err = w.s.Delete(ctx, have, "test")
	} else {
		n := &session.Session{ID: id, CreationDate: w.s.Now(), ChangeDate: w.s.Now(), Sequence: becomes, ExpirationDate: w.s.Now().Add(time.Hour)}
		if have != nil {
			n.CreationDate = have.Creation
		}
		n.Factors.User = &session.UserFactor{ID: w.user}
		err = w.s.Put(ctx, n, have)
	}
	switch {
	case err == nil:
		w.may[id] = []uint64{becomes}
		w.done.Add(1)
	case errors.Is(err, session.ErrUnavailable):
		w.may[id] = append(w.may[id], becomes)
	case len(w.may[id]) == 1:
		w.fault("%s: a write that nothing is in the way of: %v", id, err)
	}
}

// search looks for all sessions of the user.
func (w *teller) search(ctx context.Context) {
	page, err := w.s.Search(ctx, &index.Query{Predicates: []index.Predicate{index.ByUser(w.user)}, Sees: index.Sees{All: true}, Limit: 1000})
	if err != nil {
		if !errors.Is(err, session.ErrUnavailable) {
			w.fault("search: %v", err)
		}
		return
	}
	w.done.Add(1)
	found := map[session.ID]uint64{}
	for _, s := range page.Sessions {
		found[s.ID] = s.Sequence
	}
	for _, id := range w.ids {
		if !slices.Contains(w.may[id], found[id]) {
			w.fault("a search finds %s with the sequence %d, want one of %v", id, found[id], w.may[id])
		}
	}
}

// tellers have several write and read until stop.
func tellers(ctx context.Context, s *testStore, n int) (all []*teller, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	for i := range n {
		w := newTeller(s, i)
		all = append(all, w)
		group.Go(func() {
			for ctx.Err() == nil {
				stepCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
				w.step(stepCtx)
				cancel()
			}
		})
	}
	return all, func() {
		cancel()
		group.Wait()
	}
}

// told reports what was wrong, and looks at every session once more.
func told(t *testing.T, all []*teller) {
	t.Helper()
	for _, w := range all {
		before := w.done.Load()
		for w.done.Load() < before+200 && len(w.faults) == 0 && t.Context().Err() == nil {
			w.step(t.Context())
		}
		for _, fault := range w.faults[:min(len(w.faults), 5)] {
			t.Error(fault)
		}
	}
}

// While slots move, every answer is right, and nothing that was answered is lost.
func TestI2_SlotsMoveUnderLoad(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, redistest.ClusterConfig{})
	c.NeverFailOver()
	s := open(t, clusterClient(t, c), 0, storetest.NewClock(), storetest.Limits{})
	all, stop := tellers(t.Context(), s, 4)
	defer stop()
	answered := func() (n int64) {
		for _, w := range all {
			n += w.done.Load()
		}
		return n
	}
	// progress waits until calls have been answered meanwhile.
	progress := func() {
		t.Helper()
		before := answered()
		eventually.Holds(t, "calls are answered", func() bool { return answered() >= before+40 })
	}
	progress()
	masters := c.Masters()
	for i, shard := range []int{3, 14, 25, 30} {
		slot := c.SlotOf(s.keys.Created(shard))
		home := slices.Index(masters, c.Master(slot))
		m := c.Migrate(slot, masters[(home+1+i%2)%3])
		progress() // the slot is on its way, and no key has moved
		m.Move(1)
		progress()
		m.Move(10)
		progress()
		for m.Move(100) > 0 {
		}
		progress() // all are there, and the slot is still said to be here
		m.Finish()
		progress()
	}
	stop()
	told(t, all)
	if t.Failed() {
		return
	}
	s.clock.Advance(2 * time.Minute) // what was under way is cut off now
	s.sweep(t)
	s.audit(t, true)
}

// failover kills the master of sessions that its replica has, while they are read, and returns when all shards take
// writes again: until then calls are unavailable, and no session is ever not found.
func failover(t *testing.T, s *testStore, synced, kill, promoted func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var ids []session.ID
	for shard := range 2 * s.keys.Shards() {
		n := namedSessionIn(s, shard%s.keys.Shards(), "u", fmt.Sprint("n", shard, "-"))
		if err := s.Put(ctx, n, nil); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, n.ID)
	}
	synced()
	readCtx, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer group.Wait()
	defer stop()
	var away atomic.Int64
	for r := range 3 {
		group.Go(func() {
			for i := r; readCtx.Err() == nil; i++ {
				callCtx, cancel := context.WithTimeout(ctx, time.Second)
				_, err := s.Get(callCtx, ids[i%len(ids)])
				if err == nil && i%5 == 0 {
					var page *index.Page
					page, err = s.Search(callCtx, &index.Query{Predicates: []index.Predicate{index.ByUser("u")}, Sees: index.Sees{All: true}, Limit: 1000})
					if err == nil && page.Total != uint64(len(ids)) {
						t.Errorf("a search finds %d sessions of %d", page.Total, len(ids))
					}
				}
				cancel()
				switch {
				case errors.Is(err, session.ErrUnavailable):
					away.Add(1)
				case err != nil:
					t.Errorf("a session that was stored: %v", err) // I2
				}
			}
		})
	}
	kill()
	promoted()
	for shard := range s.keys.Shards() {
		n := namedSessionIn(s, shard, "later", "later")
		for {
			callCtx, cancel := context.WithTimeout(ctx, time.Second)
			err := s.Put(callCtx, n, nil)
			cancel()
			if err == nil || errors.Is(err, session.ErrConflict) { // stored by a call that was not answered
				break
			}
			if !errors.Is(err, session.ErrUnavailable) || ctx.Err() != nil {
				t.Fatalf("shard %d: %v", shard, err)
			}
		}
	}
	stop()
	group.Wait()
	for _, id := range ids {
		if _, err := s.Get(ctx, id); err != nil {
			t.Errorf("%s after the failover: %v", id, err)
		}
	}
	t.Logf("%d calls were told that the store is unavailable", away.Load()) // a planned failover may need none
}

func TestI2_ClusterFailoverUnderLoad(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, redistest.ClusterConfig{})
	s := open(t, clusterClient(t, c), 0, storetest.NewClock(), storetest.Limits{})
	slot := c.SlotOf(s.keys.Created(16))
	master := c.Master(slot)
	failover(t, s, c.WaitSynced, master.Kill, func() { c.WaitPromoted(slot, master) })
}

// It runs alone: Sentinels that get too little of the processor agree on nothing.
func TestI2_SentinelFailoverUnderLoad(t *testing.T) {
	t.Parallel()
	sentinels := redistest.StartSentinels(t, redistest.SentinelConfig{})
	s := open(t, sentinels.Client(t), 0, storetest.NewClock(), storetest.Limits{})
	first := sentinels.Master()
	failover(t, s, sentinels.WaitSynced, first.Kill, func() { sentinels.WaitPromoted(first) })
	// The old master comes back, and gives way again: connections to it are left, which answers READONLY from then on.
	first.Restart()
	sentinels.WaitReady()
	flush(t, sentinels.Master().Client(t))
	s = open(t, sentinels.Client(t), 0, storetest.NewClock(), storetest.Limits{})
	failover(t, s, sentinels.WaitSynced, func() { sentinels.Failover() }, func() {}) // it returns when there is another
}
