package deletions

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

func storedAs(id session.ID, sequence uint64) *session.Stored {
	return &session.Stored{Facts: session.Facts{ID: id, Sequence: sequence, Expiration: session.Never}}
}

func TestI4_RememberedDeletionForbidsUpToItsSequence(t *testing.T) {
	const now = session.Time(1_700_000_000_000_000)
	r := NewRemembered(10)
	r.Add("a", 5, now, now)
	for sequence, forbidden := range map[uint64]bool{1: true, 5: true, 6: false} {
		if got := r.Forbids(storedAs("a", sequence), now); got != forbidden {
			t.Errorf("sequence %d: forbidden %v, want %v", sequence, got, forbidden)
		}
	}
	if r.Forbids(storedAs("b", 1), now) || r.Forbids(nil, now) {
		t.Error("what nobody deleted is forbidden")
	}
	r.Add("a", 3, now, now) // a late one of before
	if !r.Forbids(storedAs("a", 5), now) {
		t.Error("a lower deletion has taken the place of a higher one")
	}
	end := now.Add(TombstoneFor)
	if !r.Forbids(storedAs("a", 5), end-1) || r.Forbids(storedAs("a", 5), end) {
		t.Error("a remembered deletion does not end with its tombstone")
	}
	r.expire(end)
	if n := r.count.Load(); n != 0 {
		t.Errorf("%d deletions are remembered for too long", n)
	}
	r.Add("c", 1, now, end) // deleted too long ago
	if n := r.count.Load(); n != 0 {
		t.Errorf("%d deletions are remembered, and it is over", n)
	}
}

func TestRemembered_OldestGoFirst(t *testing.T) {
	const now = session.Time(1_700_000_000_000_000)
	for _, most := range []int{1, 100, 64 * 64} {
		r := NewRemembered(most)
		for i := range 3 * most {
			r.Add(session.ID(fmt.Sprint(i)), 1, now.Add(time.Duration(i)), now)
			if n := r.count.Load(); n > int64(most) {
				t.Fatalf("%d deletions, at most %d are allowed", n, most)
			}
		}
		if !r.Forbids(storedAs(session.ID(fmt.Sprint(3*most-1)), 1), now) {
			t.Errorf("of %d, the newest was forgotten", most)
		}
		if r.Forbids(storedAs("0", 1), now) {
			t.Errorf("of %d, the oldest was kept", most)
		}
		seen := 0
		r.each(250, func(ids []session.ID) bool {
			if len(ids) > 250 {
				t.Errorf("a part of %d", len(ids))
			}
			seen += len(ids)
			return true
		})
		if int64(seen) != r.count.Load() {
			t.Errorf("%d of %d deletions were visited", seen, r.count.Load())
		}
	}
}

// What has come back waits once to be deleted again, and a full queue keeps
// nobody from being refused.
func TestI4_ReturnedSessionsWaitInABoundedQueue(t *testing.T) {
	const now = session.Time(1_700_000_000_000_000)
	r := NewRemembered(100_000)
	for i := range 2 * queueSize {
		r.Add(session.ID(fmt.Sprint(i)), 1, now, now)
	}
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for i := range 2 * queueSize {
				if r.Pass(storedAs(session.ID(fmt.Sprint(i)), 1), now) != nil {
					t.Errorf("session %d passes", i)
				}
			}
		})
	}
	readers.Wait()
	if n := len(r.again); n != queueSize {
		t.Errorf("%d wait, want %d", n, queueSize)
	}
	seen := map[session.ID]bool{}
	for len(r.again) > 0 {
		id := <-r.again
		if seen[id] {
			t.Errorf("session %s waits twice", id)
		}
		seen[id] = true
	}
	for id := range seen {
		if r.Pass(storedAs(id, 1), now); len(r.again) > 0 {
			t.Errorf("session %s waits again while it is deleted", id)
		}
		if r.unqueue(id); r.Pass(storedAs(id, 1), now) != nil || len(r.again) != 1 || <-r.again != id {
			t.Errorf("session %s has come back once more, and does not wait", id)
		}
		break
	}
}

// None of it takes a lock where nothing was deleted.
func BenchmarkRemembered(b *testing.B) {
	const now = session.Time(1_700_000_000_000_000)
	for _, n := range []int{0, 1, 100_000} {
		b.Run(fmt.Sprintf("remembered=%d", n), func(b *testing.B) {
			r := NewRemembered(100_000)
			for i := range n {
				r.Add(session.ID(fmt.Sprint("gone", i)), 1, now, now)
			}
			stored := storedAs("1234567890123456789", 1)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if r.Pass(stored, now) == nil {
						b.Error("refused")
					}
				}
			})
		})
	}
}
