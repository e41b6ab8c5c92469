package index

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// TestI9_PageEndsWhereItsListWasRead has sessions whose documents say another
// creation date than the list, or nothing: copies that are behind it, and sessions
// that were put again since the list was read. Neither may lead the next page
// astray, and no copy may hide what is there.
func TestI9_PageEndsWhereItsListWasRead(t *testing.T) {
	rdb := redistest.Start(t).Client(t)
	space, err := keys.NewSpace(keys.DefaultPrefix, 1)
	if err != nil {
		t.Fatal(err)
	}
	const n, far = 60, session.Time(1_000_000)
	id := func(i int) session.ID { return session.ID(fmt.Sprintf("s%02d", i)) }
	number := map[session.ID]int{}
	for i := range n {
		number[id(i)] = i
		if err := rdb.ZAdd(t.Context(), space.Created(0), redis.Z{Score: float64(1000 + i), Member: string(id(i))}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, ascending := range []bool{true, false} {
		// Every third document of a copy is behind, and has another date, nothing, or
		// an end; every seventh session has moved far away, forward or back.
		moved := func(i int) bool { return i%7 == 4 }
		resolve := func(_ context.Context, candidates []Candidate, how How) ([]*session.Stored, error) {
			var found []*session.Stored
			for _, c := range candidates {
				i := number[c.ID]
				s := &session.Stored{Facts: session.Facts{ID: c.ID, Creation: session.Time(1000 + i), Expiration: session.Never}}
				switch {
				case moved(i) && ascending:
					s.Creation = far
				case moved(i), i%9 == 0 && how.Reads.Copies():
					s.Creation = 1
				case i%9 == 3 && how.Reads.Copies():
					s = nil
				case i%9 == 6 && how.Reads.Copies():
					s.Expiration = 2000
				}
				found = append(found, s)
			}
			return found, nil
		}
		ix := New(Config{Redis: rdb, Keys: space, Resolve: resolve})
		var want []session.ID
		for i := range n {
			if !moved(i) {
				want = append(want, id(i))
			}
		}
		if !ascending {
			slices.Reverse(want)
		}
		for _, limit := range []int{1, 4, n - 8, n} { // eight have moved
			var got []session.ID
			q := Query{Sees: Sees{All: true}, Ascending: ascending, Limit: limit, Cursor: &Candidate{}}
			for more := true; more && len(got) <= n; {
				page, err := ix.Search(t.Context(), &q, 5000)
				if err != nil {
					t.Fatal(err)
				}
				if page.Total != n {
					t.Errorf("ascending %v, after %+v: total %d, want %d", ascending, *q.Cursor, page.Total, n)
				}
				for _, s := range page.Sessions {
					got = append(got, s.ID)
					q.Cursor = &Candidate{s.Creation, s.ID}
				}
				more = page.More
			}
			if !slices.Equal(got, want) {
				t.Errorf("ascending %v, pages of %d: %v, want %v", ascending, limit, got, want)
			}
		}
	}
}

// A total that was counted is not lowered by what came after that, and has gone
// again: it was not in it.
func TestI9_CursorTotalCountsNobodyOut(t *testing.T) {
	rdb := redistest.Start(t).Client(t)
	space, err := keys.NewSpace(keys.DefaultPrefix, 1)
	if err != nil {
		t.Fatal(err)
	}
	const n = 600
	add := func(score float64, id string) {
		t.Helper()
		if err := rdb.ZAdd(t.Context(), space.Created(0), redis.Z{Score: score, Member: id}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		add(float64(1000+10*i), fmt.Sprintf("s%03d", i))
	}
	came := false
	resolve := func(_ context.Context, candidates []Candidate, _ How) ([]*session.Stored, error) {
		if !came { // the counts are taken; the rest of the list is not read yet
			came = true
			add(1000+10*(n-2)-5, "came")
		}
		found := make([]*session.Stored, len(candidates))
		for i, c := range candidates {
			if c.ID != "came" { // it has gone again
				found[i] = &session.Stored{Facts: session.Facts{ID: c.ID, Creation: c.Creation, Expiration: session.Never}}
			}
		}
		return found, nil
	}
	ix := New(Config{Redis: rdb, Keys: space, Resolve: resolve})
	page, err := ix.Search(t.Context(), &Query{Sees: Sees{All: true}, Ascending: true, Limit: n, Cursor: &Candidate{1000, "s000"}}, 5000)
	if err != nil {
		t.Fatal(err)
	}
	if page.Total != n || len(page.Sessions) != n-1 || page.More {
		t.Errorf("%d sessions of %d, more %v, want %d of %d", len(page.Sessions), page.Total, page.More, n-1, n)
	}
}

// Over several shards, a cursor goes on beyond the largest offset.
func TestI9_CursorGoesBeyondTheLargestOffset(t *testing.T) {
	rdb := redistest.Start(t).Client(t)
	space, err := keys.NewSpace(keys.DefaultPrefix, 4)
	if err != nil {
		t.Fatal(err)
	}
	const n = maxMergedOffset + 1500
	id := func(i int) session.ID { return session.ID(fmt.Sprintf("s%06d", i)) }
	for from := 0; from < n; from += 500 {
		pipe := rdb.Pipeline()
		for i := from; i < from+500; i++ { // pairs of one date
			pipe.ZAdd(t.Context(), space.Created(space.ShardOf(id(i))), redis.Z{Score: float64(1_000_000 + i/2), Member: string(id(i))})
		}
		if _, err := pipe.Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	resolve := func(_ context.Context, candidates []Candidate, _ How) ([]*session.Stored, error) {
		found := make([]*session.Stored, len(candidates))
		for i, c := range candidates {
			found[i] = &session.Stored{Facts: session.Facts{ID: c.ID, Creation: c.Creation, Expiration: session.Never}}
		}
		return found, nil
	}
	ix := New(Config{Redis: rdb, Keys: space, Resolve: resolve})
	q := Query{Sees: Sees{All: true}, Ascending: true, Limit: 1000, Cursor: &Candidate{}}
	met := 0
	for more := true; more; {
		page, err := ix.Search(t.Context(), &q, 5000)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range page.Sessions {
			if s.ID != id(met) {
				t.Fatalf("session %d is %s", met, s.ID)
			}
			met++
			q.Cursor = &Candidate{s.Creation, s.ID}
		}
		more = page.More
	}
	if met != n {
		t.Errorf("%d sessions, want %d", met, n)
	}
	_, err = ix.Search(t.Context(), &Query{Sees: q.Sees, Limit: 1, Offset: maxMergedOffset + 1}, 5000)
	if _, ok := errors.AsType[*session.InvalidError](err); !ok {
		t.Errorf("the offset: %v, want an *InvalidError", err)
	}
}
