package cache

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// cliff opens a store with live and ended sessions, the latter not swept: every
// one of them was created before, after and between the others.
func cliff(t *testing.T, shards, live, ended, maxCandidates int) *Store {
	t.Helper()
	begin := session.TimeOf(time.Now())
	now := begin
	s, err := Open(t.Context(), Config{Redis: redistest.Start(t).Client(t), Shards: shards, Clock: func() session.Time { return now }, MaxCandidates: maxCandidates})
	if err != nil {
		t.Fatal(err)
	}
	for i := range live + ended {
		made := &session.Session{
			ID: session.ID(fmt.Sprintf("s%06d", i)), CreationDate: begin.Add(time.Duration(i*7919%(live+ended)) * time.Millisecond), ChangeDate: begin, Sequence: 1,
			ExpirationDate: session.Never, Creator: "creator", Factors: session.Factors{User: &session.UserFactor{ID: fmt.Sprint("user", i%50)}},
		}
		if i >= live {
			made.ExpirationDate = begin.Add(time.Hour)
		}
		if err := s.Put(t.Context(), made, nil); err != nil {
			t.Fatal(err)
		}
	}
	now = begin.Add(2 * time.Hour)
	return s
}

// TestI9_PagesOverABacklog pages through what lives among many more sessions
// that have ended a moment ago.
func TestI9_PagesOverABacklog(t *testing.T) {
	t.Parallel()
	const live = 100
	for _, shards := range []int{1, 4} {
		for _, ended := range []int{200, 300, 2500} {
			t.Run(fmt.Sprintf("P=%d/ended=%d", shards, ended), func(t *testing.T) {
				s := cliff(t, shards, live, ended, 3000)
				for _, p := range [][]index.Predicate{nil, {index.ByCreator("creator")}} {
					for _, ascending := range []bool{false, true} {
						met := map[session.ID]bool{}
						for offset := range uint64(live/10 + 1) {
							page, err := s.Search(t.Context(), &index.Query{Sees: index.Sees{All: true}, Predicates: p, Limit: 10, Offset: offset * 10, Ascending: ascending})
							if err != nil {
								t.Fatal(err)
							}
							if page.Total != live {
								t.Errorf("offset %d: total %d, want %d", offset*10, page.Total, live)
							}
							for _, x := range page.Sessions {
								if met[x.ID] {
									t.Errorf("offset %d: session %s is on a page before, too", offset*10, x.ID)
								}
								met[x.ID] = true
							}
						}
						if len(met) != live {
							t.Errorf("%d sessions on all pages, want %d", len(met), live)
						}
						byCursor(t, s, index.Query{Sees: index.Sees{All: true}, Predicates: p, Limit: 10, Ascending: ascending}, live, live)
					}
				}
			})
		}
	}
}

// byCursor pages through the live sessions, each of which must be met once.
func byCursor(t *testing.T, s *Store, q index.Query, live int, most uint64) {
	t.Helper()
	met := map[session.ID]bool{}
	q.Cursor = &index.Candidate{}
	for more := true; more; {
		page, err := s.Search(t.Context(), &q)
		if err != nil {
			t.Fatal(err)
		}
		if page.Total < uint64(live) || page.Total > most {
			t.Errorf("after %+v: total %d, want %d to %d", *q.Cursor, page.Total, live, most)
		}
		for _, x := range page.Sessions {
			if met[x.ID] || x.Due(s.Now()) {
				t.Errorf("session %s has ended, or is on a page before, too", x.ID)
			}
			met[x.ID] = true
			q.Cursor = &index.Candidate{Creation: x.Creation, ID: x.ID}
		}
		if more = page.More; more && len(page.Sessions) < q.Limit {
			t.Fatalf("%d sessions, and more to come", len(page.Sessions))
		}
	}
	if len(met) != live {
		t.Errorf("by cursor: %d sessions on all pages, want %d", len(met), live)
	}
}

// TestI9_FirstPageOfACliff has more ended sessions than a search may look at:
// the first page is right, its total may be too high, further pages by offset
// wait, and those by cursor are as the first.
func TestI9_FirstPageOfACliff(t *testing.T) {
	t.Parallel()
	const live, ended = 100, 2000
	for _, shards := range []int{1, 4} {
		s := cliff(t, shards, live, ended, 400)
		page, err := s.Search(t.Context(), &index.Query{Sees: index.Sees{All: true}, Limit: 3})
		switch {
		case errors.Is(err, session.ErrUnavailable): // too many dead before three live ones
		case err != nil:
			t.Fatal(err)
		case len(page.Sessions) != 3 || page.Total < live || page.Total > live+ended:
			t.Errorf("P=%d: %d sessions of %d", shards, len(page.Sessions), page.Total)
		default:
			for _, x := range page.Sessions {
				if x.Due(s.Now()) {
					t.Errorf("P=%d: a session that has ended is on the page", shards)
				}
			}
		}
		if _, err := s.Search(t.Context(), &index.Query{Sees: index.Sees{All: true}, Limit: 3, Offset: 3}); !errors.Is(err, session.ErrUnavailable) {
			t.Errorf("P=%d: a later page: %v, want unavailable", shards, err)
		}
		byCursor(t, s, index.Query{Sees: index.Sees{All: true}, Limit: 3}, live, live+ended)
		// A user's search, and one for the few that end soon, never see the cliff.
		for _, p := range []index.Predicate{index.ByUser("user7"), index.ByExpiration(index.Dates{Min: 0, Max: s.Now().Add(time.Hour)})} {
			if _, err := s.Search(t.Context(), &index.Query{Sees: index.Sees{All: true}, Limit: 3, Predicates: []index.Predicate{p}}); err != nil {
				t.Errorf("P=%d, %v: %v", shards, p.Kind, err)
			}
		}
		if swept, err := s.Sweep(t.Context()); err != nil || swept != ended {
			t.Errorf("P=%d: swept %d of %d: %v", shards, swept, ended, err)
		}
		page, err = s.Search(t.Context(), &index.Query{Sees: index.Sees{All: true}, Limit: 3, Offset: 3})
		if err != nil || page.Total != live || len(page.Sessions) != 3 {
			t.Errorf("P=%d: after the sweep: %+v, %v", shards, page, err)
		}
	}
}

// TestI9_DeepPagesBehindTheDead has the oldest sessions end, many more than a
// page's offset, and asks for pages behind them: with nothing going on, and
// while sweepers clear them.
func TestI9_DeepPagesBehindTheDead(t *testing.T) {
	t.Parallel()
	const ended, live = 4000, 1500
	for _, shards := range []int{1, 4} {
		begin := session.TimeOf(time.Now())
		now := begin
		s, err := Open(t.Context(), Config{Redis: redistest.Start(t).Client(t), Shards: shards, Clock: func() session.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		id := func(i uint64) session.ID { return session.ID(fmt.Sprintf("s%06d", i)) }
		for i := range uint64(ended + live) {
			made := &session.Session{ID: id(i), CreationDate: begin.Add(time.Duration(i) * time.Millisecond), ChangeDate: begin, Sequence: 1, ExpirationDate: session.Never, Creator: "creator"}
			if i < ended {
				made.ExpirationDate = begin.Add(time.Hour)
			}
			if err := s.Put(t.Context(), made, nil); err != nil {
				t.Fatal(err)
			}
		}
		now = begin.Add(2 * time.Hour)
		check := func() {
			t.Helper()
			for _, ascending := range []bool{true, false} {
				for _, offset := range []uint64{0, 200, 260, 300, 500, 1000, 1495, 1500, 4000, 1 << 53} {
					page, err := s.Search(t.Context(), &index.Query{Sees: index.Sees{All: true}, Limit: 10, Offset: offset, Ascending: ascending})
					if shards > 1 && offset > 100_000 {
						continue // refused
					}
					if err != nil {
						t.Errorf("P=%d, offset %d: %v", shards, offset, err)
						continue
					}
					want := min(max(live-int64(min(offset, live)), 0), 10)
					if page.Total != live || int64(len(page.Sessions)) != want {
						t.Errorf("P=%d, offset %d: %d sessions of %d, want %d of %d", shards, offset, len(page.Sessions), page.Total, want, live)
						continue
					}
					for i, x := range page.Sessions {
						at := ended + offset + uint64(i)
						if !ascending {
							at = ended + live - 1 - offset - uint64(i)
						}
						if x.ID != id(at) {
							t.Errorf("P=%d, offset %d, ascending %v: session %d is %s, want %s", shards, offset, ascending, i, x.ID, id(at))
							break
						}
					}
				}
			}
		}
		check()
		var sweepers sync.WaitGroup
		for range 2 {
			sweepers.Go(func() {
				if _, err := s.Sweep(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		check()
		sweepers.Wait()
		check()
	}
}

// TestI9_SessionsComeInBeforeTheRange puts more sessions than a chunk holds between
// the two looks of a search for an older range, in which sessions have ended.
func TestI9_SessionsComeInBeforeTheRange(t *testing.T) {
	t.Parallel()
	begin := session.TimeOf(time.Now())
	now := begin
	rdb := redistest.Start(t).Client(t)
	s, err := Open(t.Context(), Config{Redis: rdb, Clock: func() session.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	put := func(i int, created, expires session.Time) {
		t.Helper()
		if err := s.Put(t.Context(), &session.Session{ID: session.ID(fmt.Sprintf("s%06d", i)), CreationDate: created, ChangeDate: begin, Sequence: 1, ExpirationDate: expires}, nil); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 400 {
		expires := session.Never
		if i < 100 {
			expires = begin.Add(time.Hour)
		}
		put(i, begin.Add(time.Duration(i)*time.Millisecond), expires)
	}
	now = begin.Add(2 * time.Hour)
	came := false
	watch := &readWatch{seen: map[string]int{}, check: func(cmd redis.Cmder) error {
		if cmd.Name() == "zcount" && !came {
			came = true
			for i := range 40 {
				put(1000+i, now, session.Never)
			}
		}
		return nil
	}}
	rdb.AddHook(watch)
	page, err := s.Search(t.Context(), &index.Query{Sees: index.Sees{All: true}, Limit: 10, Predicates: []index.Predicate{index.ByCreation(index.Dates{Min: 0, Max: begin.Add(time.Hour)})}})
	if err != nil || page.Total != 300 || len(page.Sessions) != 10 || page.Sessions[0].ID != "s000399" || !came {
		t.Errorf("%+v, %v, want 10 of 300 from s000399 on", page, err)
	}
}

// TestI5_ALateNoteTakesNothing has the note of a write come back after the
// write was done, as a packet that was sent again may bring it.
func TestI5_ALateNoteTakesNothing(t *testing.T) {
	t.Parallel()
	begin := session.TimeOf(time.Now())
	now := begin
	s, err := Open(t.Context(), Config{Redis: redistest.Start(t).Client(t), Shards: 4, Clock: func() session.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	made := &session.Session{ID: "x", CreationDate: begin, ChangeDate: begin, Sequence: 1, ExpirationDate: session.Never, Factors: session.Factors{User: &session.UserFactor{ID: "user"}}}
	if err := s.Put(t.Context(), made, nil); err != nil {
		t.Fatal(err)
	}
	stored, err := s.GetFresh(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	card := index.CardOf(stored)
	pending := s.keys.Pending(s.keys.ShardOf("x"))
	s.rdb.ZAdd(t.Context(), pending, z(float64(now.Add(noteFor)), index.AddNote(&card)))
	now = now.Add(2 * noteFor)
	if _, err := s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	page, err := s.Search(t.Context(), &index.Query{Sees: index.Sees{All: true}, Limit: 10, Predicates: []index.Predicate{index.ByUser("user")}})
	if err != nil || page.Total != 1 {
		t.Errorf("the live session is not in its user's list: %+v, %v", page, err)
	}
	if n := s.rdb.Exists(t.Context(), pending).Val(); n != 0 {
		t.Error("the note is left over")
	}
}

// TestSweepPassesOverWhatItCanNotRead puts a card and a note of no known shape
// before all others.
func TestSweepPassesOverWhatItCanNotRead(t *testing.T) {
	t.Parallel()
	s := cliff(t, 4, 10, 30, 0)
	for shard := range s.Shards() {
		s.rdb.ZAdd(t.Context(), s.keys.Catalogue(shard), z(1, "\x03future"))
		s.rdb.ZAdd(t.Context(), s.keys.Pending(shard), z(1, "xfuture"), z(1, ""))
	}
	if _, err := s.Search(t.Context(), &index.Query{Sees: index.Sees{All: true}, Limit: 100}); err != nil {
		t.Errorf("search: %v", err)
	}
	if swept, err := s.Sweep(t.Context()); err != nil || swept != 30+3*s.Shards() {
		t.Errorf("swept %d: %v", swept, err)
	}
}

// TestGetByTokenBehindEndedSessions looks for the one live session among many
// ended ones with the same foreign token.
func TestGetByTokenBehindEndedSessions(t *testing.T) {
	t.Parallel()
	begin := session.TimeOf(time.Now())
	now := begin
	s, err := Open(t.Context(), Config{Redis: redistest.Start(t).Client(t), Clock: func() session.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		made := &session.Session{
			ID: session.ID(fmt.Sprint(i)), CreationDate: begin.Add(time.Duration(i) * time.Second), Sequence: 1, ExpirationDate: begin.Add(time.Hour),
			Factors: session.Factors{User: &session.UserFactor{ID: "user"}}, Token: session.HashToken("shared"), TokenForeign: true,
		}
		if i == 3 {
			made.ExpirationDate = session.Never
		}
		if err := s.Put(t.Context(), made, nil); err != nil {
			t.Fatal(err)
		}
	}
	now = begin.Add(2 * time.Hour)
	if got, err := s.GetByToken(t.Context(), "shared"); err != nil || got.ID != "3" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestDeleteOfNothingIsRemembered leaves a tombstone where nothing is stored.
func TestDeleteOfNothingIsRemembered(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), Config{Redis: redistest.Start(t).Client(t)})
	if err != nil {
		t.Fatal(err)
	}
	at := s.Now()
	put := func(sequence uint64) error {
		return s.Put(t.Context(), &session.Session{ID: "x", CreationDate: at, Sequence: sequence, ExpirationDate: session.Never}, nil)
	}
	remember := func(sequence uint64) {
		t.Helper()
		deleted, err := s.Delete(t.Context(), &session.Stored{Facts: session.Facts{ID: "x", Sequence: sequence, Expiration: session.Never}}, "ended")
		if err != nil || deleted.Sequence != sequence+1 {
			t.Fatalf("%+v, %v", deleted, err)
		}
	}
	remember(49)
	remember(9) // the higher one stays
	if err := put(50); !errors.Is(err, session.ErrDeleted) {
		t.Errorf("put at 50: %v", err)
	}
	if err := put(51); err != nil {
		t.Errorf("put at 51: %v", err)
	}
	if _, err := s.Delete(t.Context(), &session.Stored{Facts: session.Facts{ID: "x", Sequence: 60, Expiration: session.Never}}, "ended"); !errors.Is(err, session.ErrConflict) {
		t.Errorf("where something is stored: %v", err)
	}
}

// TestRunEndsOnAnotherNumberOfShards loses Redis' data and has another process
// record another number of shards.
func TestRunEndsOnAnotherNumberOfShards(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	s, err := Open(t.Context(), Config{Redis: rdb, Shards: 4})
	if err != nil {
		t.Fatal(err)
	}
	rdb.FlushAll(t.Context())
	if err := s.compareShards(t.Context()); err != nil {
		t.Fatal(err)
	}
	if other, err := Open(t.Context(), Config{Redis: rdb}); err != nil || other.Shards() != 4 {
		t.Fatalf("the number of shards was not recorded again: %v, %v", other, err)
	}
	rdb.FlushAll(t.Context())
	if _, err := Open(t.Context(), Config{Redis: rdb, Shards: 2}); err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); err == nil || errors.Is(err, session.ErrUnavailable) {
		t.Errorf("Run: %v, want an error that waiting does not mend", err)
	}
}
