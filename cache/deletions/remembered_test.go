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

func TestI4_GraveForbidsUpToItsSequence(t *testing.T) {
	const now = session.Time(1_700_000_000_000_000)
	g := New(10)
	g.Dig("a", 5, now, now)
	for sequence, forbidden := range map[uint64]bool{1: true, 5: true, 6: false} {
		if got := g.Forbids(storedAs("a", sequence), now); got != forbidden {
			t.Errorf("sequence %d: forbidden %v, want %v", sequence, got, forbidden)
		}
	}
	if g.Forbids(storedAs("b", 1), now) || g.Forbids(nil, now) {
		t.Error("what nobody deleted is forbidden")
	}
	g.Dig("a", 3, now, now) // a late one of before
	if !g.Forbids(storedAs("a", 5), now) {
		t.Error("a lower deletion has taken the place of a higher one")
	}
	end := now.Add(TombstoneFor)
	if !g.Forbids(storedAs("a", 5), end-1) || g.Forbids(storedAs("a", 5), end) {
		t.Error("a grave does not end with its tombstone")
	}
	g.expire(end)
	if n := g.count.Load(); n != 0 {
		t.Errorf("%d graves are left of those that have ended", n)
	}
	g.Dig("c", 1, now, end) // deleted too long ago
	if n := g.count.Load(); n != 0 {
		t.Errorf("%d graves of a deletion that counts no more", n)
	}
}

func TestGraves_OldestGoFirst(t *testing.T) {
	const now = session.Time(1_700_000_000_000_000)
	for _, most := range []int{1, 100, 64 * 64} {
		g := New(most)
		for i := range 3 * most {
			g.Dig(session.ID(fmt.Sprint(i)), 1, now.Add(time.Duration(i)), now)
			if n := g.count.Load(); n > int64(most) {
				t.Fatalf("%d graves, at most %d are allowed", n, most)
			}
		}
		if !g.Forbids(storedAs(session.ID(fmt.Sprint(3*most-1)), 1), now) {
			t.Errorf("of %d, the newest was forgotten", most)
		}
		if g.Forbids(storedAs("0", 1), now) {
			t.Errorf("of %d, the oldest was kept", most)
		}
		seen := 0
		g.each(250, func(ids []session.ID) bool {
			if len(ids) > 250 {
				t.Errorf("a part of %d", len(ids))
			}
			seen += len(ids)
			return true
		})
		if int64(seen) != g.count.Load() {
			t.Errorf("%d of %d graves were visited", seen, g.count.Load())
		}
	}
}

// What has come back waits once to be deleted again, and a full queue keeps
// nobody from being refused.
func TestI4_ReturnedSessionsWaitInABoundedQueue(t *testing.T) {
	const now = session.Time(1_700_000_000_000_000)
	g := New(100_000)
	for i := range 2 * graveQueue {
		g.Dig(session.ID(fmt.Sprint(i)), 1, now, now)
	}
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for i := range 2 * graveQueue {
				if g.Pass(storedAs(session.ID(fmt.Sprint(i)), 1), now) != nil {
					t.Errorf("session %d passes", i)
				}
			}
		})
	}
	readers.Wait()
	if n := len(g.again); n != graveQueue {
		t.Errorf("%d wait, want %d", n, graveQueue)
	}
	seen := map[session.ID]bool{}
	for len(g.again) > 0 {
		id := <-g.again
		if seen[id] {
			t.Errorf("session %s waits twice", id)
		}
		seen[id] = true
	}
	for id := range seen {
		if g.Pass(storedAs(id, 1), now); len(g.again) > 0 {
			t.Errorf("session %s waits again while it is deleted", id)
		}
		if g.unqueue(id); g.Pass(storedAs(id, 1), now) != nil || len(g.again) != 1 || <-g.again != id {
			t.Errorf("session %s has come back once more, and does not wait", id)
		}
		break
	}
}

// None of it takes a lock where nothing was deleted.
func BenchmarkGraves(b *testing.B) {
	const now = session.Time(1_700_000_000_000_000)
	for _, n := range []int{0, 1, 100_000} {
		b.Run(fmt.Sprintf("remembered=%d", n), func(b *testing.B) {
			g := New(100_000)
			for i := range n {
				g.Dig(session.ID(fmt.Sprint("gone", i)), 1, now, now)
			}
			stored := storedAs("1234567890123456789", 1)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if g.Pass(stored, now) == nil {
						b.Error("refused")
					}
				}
			})
		})
	}
}
