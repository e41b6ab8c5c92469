package index

import (
	"math"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"pgregory.net/rapid"
)

// TestCompare checks the interval that a method and a date stand for against
// time.Time's own comparison.
func TestCompare(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		base := time.Unix(rapid.Int64Range(-62135596800, 253402300799).Draw(rt, "seconds"), 0).UTC()
		bound := base.Add(time.Duration(rapid.IntRange(0, 999_999_999).Draw(rt, "ns")))
		if rapid.Bool().Draw(rt, "whole") {
			bound = bound.Truncate(time.Microsecond)
		}
		stored := session.TimeOf(bound) + session.Time(rapid.Int64Range(-2, 2).Draw(rt, "distance"))
		order := stored.Std().Compare(bound)
		f := func(m Method, want bool) {
			if got := Compare(m, bound).Contains(stored); got != want {
				rt.Errorf("%v: %v against %v: %v, want %v", m, stored.Std(), bound, got, want)
			}
		}
		f(Equals, order == 0)
		f(Greater, order > 0)
		f(GreaterOrEquals, order >= 0)
		f(Less, order < 0)
		f(LessOrEquals, order <= 0)
		f(Method(5), false)
	})
}

func TestCompareWithNever(t *testing.T) {
	f := func(m Method, want bool) {
		t.Helper()
		if got := Compare(m, time.Unix(0, 0)).Contains(session.Never); got != want {
			t.Errorf("%v: %v, want %v", m, got, want)
		}
	}
	f(Equals, false)
	f(Greater, true)
	f(GreaterOrEquals, true)
	f(Less, false)
	f(LessOrEquals, false)
}

// TestI9_NarrowKeepsTheMeaning checks that what narrow makes of the predicates
// holds for a live session iff the predicates do.
func TestI9_NarrowKeepsTheMeaning(t *testing.T) {
	const now = session.Time(100)
	names := rapid.SampledFrom([]string{"", "a", "b"})
	date := rapid.OneOf(rapid.Int64Range(95, 106), rapid.SampledFrom([]int64{math.MinInt64, int64(session.Never)}))
	rapid.Check(t, func(rt *rapid.T) {
		q := &Query{Sees: Sees{All: true}}
		for range rapid.IntRange(0, 5).Draw(rt, "predicates") {
			d := Dates{session.Time(date.Draw(rt, "min")), session.Time(date.Draw(rt, "max"))}
			v := names.Draw(rt, "value")
			q.Predicates = append(q.Predicates, rapid.SampledFrom([]Predicate{
				ByUser(v), ByAgent(v), ByCreator(v), ByCreation(d), ByExpiration(d), ByIDs("1", "2"), ByIDs("2", "3", "2"), ByIDs(), {},
			}).Draw(rt, "predicate"))
		}
		s := &session.Facts{
			ID: rapid.SampledFrom([]session.ID{"1", "2", "3"}).Draw(rt, "id"), Creation: session.Time(rapid.Int64Range(95, 106).Draw(rt, "creation")),
			Expiration: session.Time(rapid.OneOf(rapid.Int64Range(101, 107), rapid.Just(int64(session.Never))).Draw(rt, "expiration")),
			UserID:     names.Draw(rt, "user"), AgentID: names.Draw(rt, "agent"), Creator: names.Draw(rt, "creator"),
		}
		n, ok := narrow(q, now)
		in := ok && n.creation.Contains(s.Creation) && n.expires.Contains(s.Expiration) &&
			(n.user == "" || n.user == s.UserID) && (n.agent == "" || n.agent == s.AgentID) && (n.creator == "" || n.creator == s.Creator)
		if in && n.byIDs {
			in = false
			for _, id := range n.ids {
				in = in || id == s.ID
			}
		}
		if want := q.Match(s, now); in != want {
			rt.Errorf("%+v narrows to %+v, %v: holds for %+v: %v, want %v", q.Predicates, n, ok, s, in, want)
		}
	})
}

func TestMatchIsFalseForTheZeroValues(t *testing.T) {
	s := &session.Facts{ID: "1", Expiration: session.Never}
	f := func(q Query) {
		t.Helper()
		if q.Match(s, 0) {
			t.Errorf("%+v matches a session without user, agent and creator", q)
		}
	}
	f(Query{})
	f(Query{Sees: Sees{Orgs: []string{""}}})
	f(Query{Sees: Sees{All: true}, Predicates: []Predicate{{}}})
	f(Query{Sees: Sees{All: true}, Predicates: []Predicate{ByUser("")}})
	f(Query{Sees: Sees{All: true}, Predicates: []Predicate{ByAgent("")}})
	f(Query{Sees: Sees{All: true}, Predicates: []Predicate{ByCreator("")}})
	f(Query{Sees: Sees{All: true}, Predicates: []Predicate{ByIDs()}})
	if q := (Query{Sees: Sees{All: true}}); !q.Match(s, 0) {
		t.Error("a query for everything does not match")
	}
}
