package cache_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/index/audit"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
	"github.com/redis/go-redis/v9"
)

// wrecks are much damage at a time to session "1", so that one audit goes
// through all that it can do to a session.
var wrecks = []struct {
	name    string
	damages []string
}{
	{"nothing", nil},
	{"everything missing", []string{"no TTL", "in no list"}},
	{"too much of all", []string{
		"another version's card", "another score by creation", "another score of its user", "a card with another score",
		"in the list of another user", "in the list of another creator", "with another tag", "with a tag by creation",
	}},
	{"evicted", []string{"with another tag", "another version's card", "a hash that Redis evicted"}},
	{"ended", []string{"another score by creation", "in the list of another user", "an ended session that stays, without a card"}},
}

func wreck(t *testing.T, s *cutStore, names []string) {
	t.Helper()
	first(t, s)
	s.clock.Advance(time.Second)
	for _, name := range names {
		done := false
		for _, d := range damages {
			if d.name == name {
				d.do(t, s.testStore)
				done = true
			}
		}
		if !done {
			t.Fatalf("there is no damage %q", name)
		}
	}
}

// A repair, stopped between any two of its steps while another process does all
// of its own: what lives then lives on, has all its entries after one more
// repair, and nothing is left over.
func TestI5_RepairMeetsWriters(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		c := startCutServer(t, shards)
		isDone := testdepth.OneIn(t, 4)
		for i, w := range wrecks {
			for j, m := range meetings {
				t.Run(w.name+"/"+m.name, func(t *testing.T) {
					for trip := 1; !t.Failed(); trip++ {
						if !isDone(trip + i + j + shards/4) {
							continue
						}
						s := c.open(t)
						wreck(t, s, w.damages)
						met, lives := false, false
						s.faults.Arm(redistest.Cut{Before: func(n int, _ []redis.Cmder) error {
							if n != trip {
								return nil
							}
							met = true
							// It meets what is damaged, so it may fail.
							_ = m.run(t.Context(), s, s.Store)
							_, err := s.GetFresh(t.Context(), "1")
							lives = err == nil
							return nil
						}})
						r, found, err := s.audited(t.Context(), s.frail, true)
						s.faults.Arm(redistest.Cut{})
						t.Logf("stopped at trip %d: %v, %v", trip, found, err) // shown if the test fails
						if err != nil || !r.Complete {
							t.Errorf("%+v, %v", r, err)
						}
						if w.damages == nil && len(found) > 0 {
							t.Errorf("found %v where nothing was wrong", found)
						}
						if !met {
							return
						}
						s.mends(t, lives)
					}
				})
			}
		}
	})
}

// mends repairs, and checks that then all is well, and whether session "1" lives.
func (s *cutStore) mends(t *testing.T, lives bool) {
	t.Helper()
	check := func(when string) {
		t.Helper()
		_, err := s.GetFresh(t.Context(), "1")
		if lives != (err == nil) || err != nil && !errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s: session 1: %v, lives %v", when, err, lives)
		}
	}
	check("after the repair")
	if r, found, err := s.audited(t.Context(), s.Store, true); err != nil || !r.Clean() {
		t.Errorf("one more repair: %+v, %v", found, err)
	}
	s.audit(t, false)
	check("after one more")
	s.sweep(t)
	s.clock.Advance(2 * time.Minute)
	s.sweep(t)
	if r, found, err := s.audited(t.Context(), s.Store, false); err != nil || !r.Clean() {
		t.Errorf("in the end: %+v, %v", found, err)
	}
	s.audit(t, true)
}

// A repair that is cut between any two of its steps, or loses a reply, or whose
// process dies there, harms nothing, and the next one mends what is left.
func TestI5_RepairCutAnywhere(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		c := startCutServer(t, shards)
		isDone := testdepth.OneIn(t, 4)
		for i, w := range wrecks {
			for j, cut := range cuts {
				t.Run(w.name+"/"+cut.name, func(t *testing.T) {
					for trip := 1; !t.Failed(); trip++ {
						if !isDone(trip + i + j + shards/4) {
							continue
						}
						s := c.open(t)
						wreck(t, s, w.damages)
						_, err := s.GetFresh(t.Context(), "1")
						lives := err == nil
						s.faults.Arm(cut.at(trip))
						r, _, err := s.audited(t.Context(), s.frail, true)
						fired := s.faults.Fired()
						s.faults.Arm(redistest.Cut{})
						t.Logf("cut at trip %d: %v", trip, err) // shown if the test fails
						if fired != (err != nil) || err != nil && !errors.Is(err, session.ErrUnavailable) || r.Complete == fired {
							t.Errorf("%+v, %v", r, err)
						}
						if !fired {
							return
						}
						s.mends(t, lives)
					}
				})
			}
		}
	})
}

// An audit beside writers that were cut off: what the sweeper will end is no
// drift, what it cannot know of is.
func TestI5_AuditOfWritesThatWereCutOff(t *testing.T) {
	t.Parallel()
	c := startCutServer(t, 4)
	isScript := func(_ int, cmds []redis.Cmder) error {
		if cmds[0].Name() == "evalsha" {
			return redistest.ErrCut
		}
		return nil
	}
	begin := func(t *testing.T) *cutStore {
		s := c.open(t)
		first(t, s)
		s.faults.Arm(redistest.Cut{Before: isScript})
		if err := put(2, bob...)(t.Context(), s, s.frail); !errors.Is(err, session.ErrUnavailable) {
			t.Fatalf("Put: %v, want ErrUnavailable", err)
		}
		s.faults.Arm(redistest.Cut{})
		return s
	}
	expect := func(t *testing.T, s *cutStore, want uint64) {
		t.Helper()
		_, found, err := s.audited(t.Context(), s.Store, false)
		if err != nil || found[audit.EntryStray] != want || len(found) > 1 {
			t.Errorf("found %v, %v, want %d strays", found, err, want)
		}
	}
	t.Run("its note is there", func(t *testing.T) {
		s := begin(t)
		expect(t, s, 0)
		s.mends(t, true)
	})
	t.Run("its note has been taken before its entries came", func(t *testing.T) {
		s := begin(t)
		if err := s.client.Del(t.Context(), s.keys.Pending(s.keys.ShardOf("1"))).Err(); err != nil {
			t.Fatal(err)
		}
		expect(t, s, 3) // user, user agent, token
		s.mends(t, true)
	})
	t.Run("a delete that has not dropped its entries", func(t *testing.T) {
		s := c.open(t)
		first(t, s)
		script := false
		s.faults.Arm(redistest.Cut{Before: func(int, []redis.Cmder) error {
			if script {
				return redistest.ErrCut
			}
			return nil
		}, After: func(_ int, cmds []redis.Cmder) error {
			script = script || scriptRan(cmds)
			return nil
		}})
		if err := remove(t.Context(), s, s.frail); err != nil {
			t.Fatal(err)
		}
		s.faults.Arm(redistest.Cut{})
		expect(t, s, 0)
		s.mends(t, false)
	})
}

// What has ended is the sweeper's, however much of it there is.
func TestI5_AuditLeavesTheBacklogToTheSweeper(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		client := startRedis(t)
		for _, candidates := range []int{1000, 20} {
			t.Run(fmt.Sprintf("candidates=%d", candidates), func(t *testing.T) {
				s := openEmpty(t, client, shards, storetest.Limits{MaxCandidates: candidates})
				const sessions = 300
				for i := range sessions {
					id := session.ID(fmt.Sprint("s", i))
					if err := s.Put(t.Context(), storetest.New(id, s.Now(), ada...), nil); err != nil {
						t.Fatal(err)
					}
				}
				s.clock.Advance(2 * time.Hour)
				for i := range sessions / 2 { // Redis has dropped the hash already
					s.do(t, "del", s.keys.Session(session.ID(fmt.Sprint("s", i))))
				}
				r, found, err := s.audited(t.Context(), s.Store, true)
				if err != nil || len(found) > 0 {
					t.Errorf("found %v, %v in a backlog", found, err)
				}
				if unsettled := candidates < sessions/shards; (r.Unsettled > 0) != unsettled || r.Clean() == unsettled {
					t.Errorf("%+v, clean %v, with %d candidates", r, r.Clean(), candidates)
				}
				s.sweep(t)
				s.audit(t, true)
				if r, found, err := s.audited(t.Context(), s.Store, true); err != nil || len(found) > 0 || r.Looked() > 0 {
					t.Errorf("found %v, %+v, %v in an empty store", found, r, err)
				}
			})
		}
	})
}
