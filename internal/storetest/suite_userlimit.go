package storetest

import (
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

var (
	refuseThird = Limits{MaxSessionsPerUser: 2}
	evictThird  = Limits{MaxSessionsPerUser: 2, EvictOldest: true}
)

// of makes a session of user u that was created some seconds after the start.
func (f *fixture) of(id session.ID, seconds int, parts ...Part) *session.Session {
	return New(id, f.start, append([]Part{Created(f.start.Add(time.Duration(seconds) * time.Second)), User("u", "o")}, parts...)...)
}

// has checks which sessions user u has, oldest first.
func (f *fixture) has(want ...session.ID) {
	f.Helper()
	f.found([]index.Predicate{index.ByUser("u")}, want...)
}

// userLimitTests are about the limit on a user's sessions.
var userLimitTests = []contractTest{
	{name: "one more is refused", limits: refuseThird, run: func(f *fixture) {
		f.put(f.of("1", 1))
		f.put(f.of("2", 2))
		f.refused(session.ErrUserLimit, f.of("3", 3), nil)
		f.has("1", "2")
		f.delete("1")
		f.put(f.of("3", 3))
		f.refused(session.ErrUserLimit, f.of("4", 0), nil)
		f.has("2", "3")
	}},
	{name: "one more evicts the oldest", limits: evictThird, run: func(f *fixture) {
		f.put(f.of("b", 1))
		f.put(f.of("c", 2))
		f.put(f.of("a", 3))
		f.gone("b")
		f.has("c", "a")
		f.put(f.of("d", 3))
		f.has("a", "d")
		f.put(f.of("e", 3)) // of the same date, the lowest ID is the oldest
		f.has("d", "e")
	}},
	{name: "what is written is not evicted, however old", limits: evictThird, run: func(f *fixture) {
		f.put(f.of("1", 10))
		f.put(f.of("2", 11))
		f.put(f.of("3", 1))
		f.has("3", "2")
	}},
	{name: "an evicted session is a deleted one", limits: evictThird, run: func(f *fixture) {
		f.put(f.of("1", 1, Agent("a"), ForeignToken("foreign"), Sequence(7)))
		f.token("foreign", "1")
		f.put(f.of("2", 2))
		f.put(f.of("3", 3))
		f.token("foreign", "")
		f.found([]index.Predicate{index.ByAgent("a")})
		f.found(nil, "2", "3")
		f.refused(session.ErrDeleted, f.of("1", 4, Sequence(8)), nil)
		f.has("2", "3")
		f.put(f.of("1", 4, Sequence(9)))
		f.has("3", "1")
	}},
	{name: "others' sessions do not count", limits: refuseThird, run: func(f *fixture) {
		f.put(f.of("1", 1))
		f.put(f.of("2", 2))
		for _, id := range []session.ID{"3", "4"} {
			f.put(New(id, f.start, User("v", "o")))
		}
		for _, id := range []session.ID{"5", "6", "7"} {
			f.put(New(id, f.start))
		}
		f.refused(session.ErrUserLimit, f.of("8", 3), nil)
	}},
	{name: "a user who is set later", limits: refuseThird, run: func(f *fixture) {
		f.put(f.of("1", 1))
		s := f.put(New("2", f.start))
		third := f.put(New("3", f.start))
		f.replace(f.of("2", 0, Sequence(2)), s)
		f.refused(session.ErrUserLimit, f.of("3", 0, Sequence(2)), third)
		f.replace(New("3", f.start, User("v", "o"), Sequence(2)), third)
		f.refused(session.ErrUserLimit, f.of("3", 0, Sequence(3)), f.get("3"))
		f.has("2", "1")
	}},
	{name: "a user who is set later evicts", limits: evictThird, run: func(f *fixture) {
		s := f.put(New("1", f.start))
		f.put(f.of("2", 2))
		f.put(f.of("3", 3))
		f.replace(f.of("1", 0, Sequence(2)), s)
		f.has("1", "3")
	}},
	{name: "another version is not another session", limits: refuseThird, run: func(f *fixture) {
		s := f.put(f.of("1", 1, Agent("a")))
		f.put(f.of("2", 2))
		s = f.replace(f.of("1", 1, Agent("a"), Sequence(2)), s)
		s = f.replace(f.of("1", 5, Agent("b"), ForeignToken("t"), Sequence(3)), s)
		f.has("2", "1")
		f.replace(New("1", f.start, Sequence(4)), s)
		f.put(f.of("3", 3))
		f.refused(session.ErrUserLimit, f.of("1", 1, Sequence(5)), f.get("1"))
		f.has("2", "3")
	}},
	{name: "what is in the way for another reason evicts nobody", limits: evictThird, run: func(f *fixture) {
		f.put(f.of("1", 1))
		s := f.put(New("2", f.start))
		f.replace(New("2", f.start, Sequence(2)), s)
		f.put(New("3", f.start, Sequence(4)))
		f.delete("3")
		f.put(f.of("4", 2))
		f.refused(session.ErrConflict, f.of("1", 9), nil)
		f.refused(session.ErrConflict, f.of("2", 9, Sequence(3)), s)
		f.refused(session.ErrConflict, f.of("2", 9, Sequence(3)), nil)
		f.refused(session.ErrDeleted, f.of("3", 9, Sequence(5)), nil)
		f.has("1", "4")
	}},
	{name: "what has ended does not count", limits: refuseThird, run: func(f *fixture) {
		f.put(f.of("1", 1, Expires(f.start.Add(time.Minute))))
		f.put(f.of("2", 2, Agent("a"), Expires(f.start.Add(2*time.Minute))))
		f.advance(time.Minute - time.Microsecond)
		f.refused(session.ErrUserLimit, f.of("3", 3), nil)
		f.advance(time.Microsecond)
		f.put(f.of("3", 3))
		f.refused(session.ErrUserLimit, f.of("4", 4), nil)
		f.has("2", "3")
		f.advance(time.Minute)
		f.put(f.of("2", 2, Agent("a"))) // in the place of what has ended
		f.refused(session.ErrUserLimit, f.of("4", 4), nil)
		f.has("2", "3")
	}},
	{name: "what has ended is not evicted for", limits: evictThird, run: func(f *fixture) {
		f.put(f.of("1", 1))
		f.put(f.of("2", 2, Expires(f.start.Add(time.Minute))))
		f.advance(time.Minute)
		f.put(f.of("3", 3))
		f.has("1", "3")
	}},
	{name: "a creation date of the future counts as the oldest", limits: evictThird, run: func(f *fixture) {
		f.put(f.of("ahead1", 61))
		f.put(f.of("ahead2", 24*60*60))
		f.put(f.of("1", 1)) // the nearer one goes first
		f.has("1", "ahead2")
		f.put(f.of("2", 2))
		f.has("1", "2")
		f.put(f.of("ahead1", 61, Sequence(3))) // what is written stays, and goes next
		f.has("2", "ahead1")
		f.put(f.of("3", 3))
		f.has("2", "3")
	}},
	{name: "a minute ahead is not the future, and time makes up for more", limits: evictThird, run: func(f *fixture) {
		f.put(f.of("1", 1))
		f.put(f.of("minute", 60))
		f.put(f.of("2", 2))
		f.has("2", "minute")
		f.put(New("ahead", f.start, User("u", "o"), Created(f.start.Add(time.Minute)+1), Expires(session.Never)))
		f.has("minute", "ahead")
		f.advance(time.Microsecond)
		f.put(f.of("3", 3))
		f.has("3", "ahead")
	}},
	{name: "a limit of one", limits: Limits{MaxSessionsPerUser: 1, EvictOldest: true}, run: func(f *fixture) {
		for _, id := range []session.ID{"3", "1", "2"} {
			f.put(f.of(id, 0))
			f.has(id)
		}
	}},
	{name: "a limit that one command does not read", limits: Limits{MaxSessionsPerUser: 600, EvictOldest: true}, run: func(f *fixture) {
		var many []*session.Session
		for i := range 600 {
			s := f.of(number(i), 0, Created(f.start+session.Time(i)))
			if i%50 == 7 {
				s.ExpirationDate = f.start.Add(time.Minute)
			}
			many = append(many, s)
		}
		f.puts(many)
		f.advance(time.Minute)
		for i := range 14 { // 12 have ended
			f.put(f.of(number(600+i), 0, Created(f.start+session.Time(600+i))))
		}
		f.gone(number(0))
		f.gone(number(1))
		f.get(number(2))
		page := f.search(index.Query{Predicates: []index.Predicate{index.ByUser("u")}, Sees: all, Limit: 1})
		if page.Total != 600 {
			f.Fatalf("%d sessions, want 600", page.Total)
		}
	}},
}
