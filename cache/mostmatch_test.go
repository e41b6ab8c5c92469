package cache

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
	"github.com/redis/go-redis/v9"
)

// ends is a store of sessions that end at different times, and what is known of them.
type ends struct {
	*Store
	rdb   *redis.Client
	begin session.Time
	now   session.Time
	live  []*session.Facts // and those that are due
}

const (
	endsSoon  = 1500 // end a millisecond after each other, from an hour on
	endsLater = 1700 // end in two hours
	endsNever = 300
)

// openEnds opens a store that may examine fewer sessions than end later. Each kind
// of sessions was created before, after and between the others.
func openEnds(t *testing.T, shards int) *ends {
	t.Helper()
	s := &ends{rdb: redistest.Start(t).Client(t), begin: session.TimeOf(time.Now())}
	s.now = s.begin
	var err error
	s.Store, err = Open(t.Context(), Config{Redis: s.rdb, Shards: shards, Clock: func() session.Time { return s.now }, MaxCandidates: endsSoon})
	if err != nil {
		t.Fatal(err)
	}
	const all = endsSoon + endsLater + endsNever
	var made []*session.Session
	for i := range all {
		x := &session.Session{
			ID: session.ID(fmt.Sprintf("s%06d", i)), CreationDate: s.begin.Add(time.Duration(i*7919%all) * time.Millisecond), ChangeDate: s.begin, Sequence: 1,
			ExpirationDate: s.soon(i), Creator: []string{"all but few", "few"}[max(i%15-13, 0)],
		}
		switch {
		case i >= endsSoon+endsLater:
			x.ExpirationDate = session.Never
		case i >= endsSoon:
			x.ExpirationDate = s.begin.Add(2 * time.Hour)
		}
		facts := x.Facts()
		made, s.live = append(made, x), append(s.live, &facts)
	}
	var writers sync.WaitGroup
	for part := range slices.Chunk(made, all/8+1) {
		writers.Go(func() {
			for _, x := range part {
				if err := s.Put(t.Context(), x, nil); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return s
}

// soon is when the i-th of those ends that end soon.
func (s *ends) soon(i int) session.Time {
	return s.begin.Add(time.Hour + time.Duration(i)*time.Millisecond)
}

// matches are the sessions that q asks for, in order.
func (s *ends) matches(q *index.Query) []session.ID {
	var found []*session.Facts
	for _, x := range s.live {
		if q.Match(x, s.now) {
			found = append(found, x)
		}
	}
	slices.SortFunc(found, func(a, b *session.Facts) int { return int(a.Creation - b.Creation) })
	if !q.Ascending {
		slices.Reverse(found)
	}
	ids := make([]session.ID, len(found))
	for i, x := range found {
		ids[i] = x.ID
	}
	return ids
}

func idsOf(page *index.Page) []session.ID {
	ids := make([]session.ID, len(page.Sessions))
	for i, x := range page.Sessions {
		ids[i] = x.ID
	}
	return ids
}

// TestI9_MostEndWithinTheDates searches for more sessions than a search may examine,
// by expiration dates that few others have: as a client asks for live sessions whose clock
// is ahead of the store's. They are counted, in small reads (I10), and what has ended and is not
// swept is not among them.
func TestI9_MostEndWithinTheDates(t *testing.T) {
	t.Parallel()
	for _, shards := range []int{1, 4} {
		t.Run(fmt.Sprintf("P=%d", shards), func(t *testing.T) {
			t.Parallel()
			s := openEnds(t, shards)
			watch := &readWatch{check: small, seen: map[string]int{}}
			s.rdb.AddHook(watch)
			isDone, number := testdepth.OneIn(t, 3), shards
			check := func(predicates ...index.Predicate) {
				t.Helper()
				if number++; !isDone(number) {
					return
				}
				for _, ascending := range []bool{false, true} {
					q := index.Query{Sees: index.Sees{All: true}, Predicates: predicates, Ascending: ascending, Limit: 10}
					want := s.matches(&q)
					if len(want) <= endsSoon {
						t.Fatalf("%d sessions match, which may be examined", len(want))
					}
					for _, q.Offset = range []uint64{0, 7, 240, 700, 1600, uint64(len(want) - 3), uint64(len(want)), 1 << 16} {
						page, err := s.Search(t.Context(), &q)
						if err != nil {
							t.Errorf("%+v: %v", q, err)
							continue
						}
						from := min(int(q.Offset), len(want))
						if got := idsOf(page); int(page.Total) != len(want) || !slices.Equal(got, want[from:min(from+10, len(want))]) {
							t.Errorf("%+v: %v of %d, want %v of %d", q, got, page.Total, want[from:min(from+10, len(want))], len(want))
						}
					}
					q.Offset, q.Cursor, q.Limit = 0, &index.Candidate{}, 600
					var met []session.ID
					for more := true; more; {
						page, err := s.Search(t.Context(), &q)
						if err != nil || int(page.Total) != len(want) {
							t.Fatalf("%+v: %+v, %v, want a total of %d", q, page, err, len(want))
						}
						met, more = append(met, idsOf(page)...), page.More
						last := page.Sessions[len(page.Sessions)-1]
						q.Cursor = &index.Candidate{Creation: last.Creation, ID: last.ID}
					}
					if !slices.Equal(met, want) {
						t.Errorf("%+v: %d sessions on all pages, want %d", q, len(met), len(want))
					}
				}
			}
			by := func(m index.Method, at session.Time) index.Predicate {
				return index.ByExpiration(index.Compare(m, at.Std()))
			}
			all := func() {
				t.Helper()
				for _, left := range []int{100, 104, 400, endsSoon - 1} { // some of them are due later
					check(by(index.Greater, s.soon(left)))
					check(by(index.GreaterOrEquals, s.soon(left)))
				}
				check(by(index.Greater, s.soon(110)), index.ByCreator("all but few"))
				check(by(index.Greater, s.soon(110)), index.ByCreation(index.Dates{Min: s.begin.Add(300 * time.Millisecond), Max: s.begin.Add(3 * time.Second)}))
				check(by(index.LessOrEquals, s.begin.Add(3*time.Hour)))
				check(by(index.Less, s.begin.Add(3*time.Hour)), by(index.Greater, s.soon(1000)))
				check(index.ByExpiration(index.Dates{Min: s.soon(110), Max: session.MaxScore - 1}), index.ByCreator("all but few"))
			}
			all()
			s.now = s.soon(99) // a hundred are due, and nobody sweeps
			all()
			if len(watch.wrong) > 0 {
				t.Errorf("I10: %d commands: %s, …", len(watch.wrong), watch.wrong[0])
			}
		})
	}
}

// TestI9_FewMatchBehindACliff searches by expiration dates while far more sessions have
// ended, and are not swept, than a search may look at: those that match are few
// enough to be examined.
func TestI9_FewMatchBehindACliff(t *testing.T) {
	t.Parallel()
	s := openEnds(t, 1)
	s.now = s.begin.Add(2 * time.Hour)
	few, err := Open(t.Context(), Config{Redis: s.rdb, Clock: func() session.Time { return s.now }, MaxCandidates: 700})
	if err != nil {
		t.Fatal(err)
	}
	q := index.Query{Sees: index.Sees{All: true}, Limit: 10, Offset: 20, Predicates: []index.Predicate{index.ByExpiration(index.Compare(index.Greater, s.now.Add(time.Second).Std()))}}
	page, err := few.Search(t.Context(), &q)
	if want := s.matches(&q); len(want) != endsNever || err != nil || int(page.Total) != len(want) || !slices.Equal(idsOf(page), want[20:30]) {
		t.Errorf("%+v, %v, want 10 of %d", page, err, len(want))
	}
}

// beforeMulti is a hook that does something before each round trip with a MULTI.
type beforeMulti struct{ do func(context.Context) }

func (h *beforeMulti) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *beforeMulti) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (h *beforeMulti) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if slices.ContainsFunc(cmds, func(cmd redis.Cmder) bool { return cmd.Name() == "multi" }) {
			h.do(ctx)
		}
		return next(ctx, cmds)
	}
}

// TestI9_OneComesWhereAnotherGoes has one session deleted and another created between
// the reading of all that end soon, which are more than one MULTI reads, and
// the counting: their number stays the same, but one of them is another creator's.
func TestI9_OneComesWhereAnotherGoes(t *testing.T) {
	t.Parallel()
	s := openEnds(t, 1)
	last, err := s.GetFresh(t.Context(), s.live[endsSoon-1].ID)
	if err != nil || last.Creator != "few" {
		t.Fatalf("%+v, %v", last, err)
	}
	looks := 0
	s.rdb.AddHook(&beforeMulti{func(ctx context.Context) {
		if looks++; looks != 2 {
			return
		}
		if _, err := s.Delete(ctx, last, "ended"); err != nil {
			t.Error(err)
		}
		// The oldest, so that it is not on the page.
		x := &session.Session{ID: "x", CreationDate: s.begin - 1, ChangeDate: s.begin, Sequence: 1, ExpirationDate: s.soon(endsSoon - 1), Creator: "all but few"}
		if err := s.Put(ctx, x, nil); err != nil {
			t.Error(err)
		}
	}})
	q := index.Query{
		Sees: index.Sees{All: true}, Limit: 10,
		Predicates: []index.Predicate{index.ByExpiration(index.Compare(index.Greater, s.soon(endsSoon-1).Std())), index.ByCreator("all but few")},
	}
	page, err := s.Search(t.Context(), &q)
	if want := s.matches(&q); err != nil || int(page.Total) != len(want) || !slices.Equal(idsOf(page), want[:10]) || looks < 2 {
		t.Errorf("%+v, %v after %d looks, want a total of %d", page, err, looks, len(want))
	}
}
