package storetest

import (
	"math"
	"slices"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

var dateTests = []contractTest{
	{name: "creation, every method, to the nanosecond", run: func(f *fixture) {
		for i, id := range []session.ID{"1", "2", "3"} {
			f.put(New(id, f.start, Created(f.start+session.Time(i))))
		}
		at := f.start.Std().Add(time.Microsecond) // of "2"
		f.dates(index.ByCreation, at, map[index.Method][]session.ID{
			index.Equals: {"2"}, index.Greater: {"3"}, index.GreaterOrEquals: {"2", "3"}, index.Less: {"1"}, index.LessOrEquals: {"1", "2"},
		})
		f.dates(index.ByCreation, at.Add(1), map[index.Method][]session.ID{
			index.Equals: nil, index.Greater: {"3"}, index.GreaterOrEquals: {"3"}, index.Less: {"1", "2"}, index.LessOrEquals: {"1", "2"},
		})
		f.dates(index.ByCreation, at.Add(-1), map[index.Method][]session.ID{
			index.Equals: nil, index.Greater: {"2", "3"}, index.GreaterOrEquals: {"2", "3"}, index.Less: {"1"}, index.LessOrEquals: {"1"},
		})
	}},
	{name: "expiration, every method, to the nanosecond", run: func(f *fixture) {
		until := f.start.Add(time.Hour)
		for i, id := range []session.ID{"1", "2", "3"} {
			f.put(New(id, f.start, Expires(until+session.Time(i))))
		}
		f.put(New("4", f.start, Expires(session.Never)))
		at := until.Std().Add(time.Microsecond)
		f.dates(index.ByExpiration, at, map[index.Method][]session.ID{
			index.Equals: {"2"}, index.Greater: {"3", "4"}, index.GreaterOrEquals: {"2", "3", "4"}, index.Less: {"1"}, index.LessOrEquals: {"1", "2"},
		})
		f.dates(index.ByExpiration, at.Add(999), map[index.Method][]session.ID{
			index.Equals: nil, index.Greater: {"3", "4"}, index.GreaterOrEquals: {"3", "4"}, index.Less: {"1", "2"}, index.LessOrEquals: {"1", "2"},
		})
	}},
	{name: "expiration before now and from now on", run: func(f *fixture) {
		f.put(New("1", f.start, Expires(f.start+1)))
		f.put(New("2", f.start, Expires(session.Never)))
		for _, at := range []time.Time{f.start.Std(), f.start.Std().Add(-time.Hour), time.Unix(0, 0)} {
			f.dates(index.ByExpiration, at, map[index.Method][]session.ID{
				index.Equals: nil, index.Greater: {"1", "2"}, index.GreaterOrEquals: {"1", "2"}, index.Less: nil, index.LessOrEquals: nil,
			})
		}
		f.advance(time.Microsecond)
		f.dates(index.ByExpiration, f.start.Std(), map[index.Method][]session.ID{
			index.Equals: nil, index.Greater: {"2"}, index.GreaterOrEquals: {"2"}, index.Less: nil, index.LessOrEquals: nil,
		})
	}},
	{name: "expiration from 2255 on", run: func(f *fixture) {
		far := session.TimeOf(time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC))
		f.put(New("1", f.start, Expires(session.MaxScore-1)))
		f.put(New("2", f.start, Expires(session.MaxScore)))
		f.put(New("3", f.start, Expires(session.MaxScore+1)))
		f.put(New("4", f.start, Expires(far)))
		f.put(New("5", f.start, Expires(session.Never)))
		f.dates(index.ByExpiration, (session.MaxScore - 1).Std(), map[index.Method][]session.ID{
			index.Equals: {"1"}, index.Greater: {"2", "3", "4", "5"}, index.GreaterOrEquals: {"1", "2", "3", "4", "5"}, index.Less: nil, index.LessOrEquals: {"1"},
		})
		f.dates(index.ByExpiration, session.MaxScore.Std(), map[index.Method][]session.ID{
			index.Equals: {"2"}, index.Greater: {"3", "4", "5"}, index.GreaterOrEquals: {"2", "3", "4", "5"}, index.Less: {"1"}, index.LessOrEquals: {"1", "2"},
		})
		f.dates(index.ByExpiration, far.Std(), map[index.Method][]session.ID{
			index.Equals: {"4"}, index.Greater: {"5"}, index.GreaterOrEquals: {"4", "5"}, index.Less: {"1", "2", "3"}, index.LessOrEquals: {"1", "2", "3", "4"},
		})
		f.dates(index.ByExpiration, far.Std().Add(time.Second), map[index.Method][]session.ID{
			index.Equals: nil, index.Greater: {"5"}, index.GreaterOrEquals: {"5"}, index.Less: {"1", "2", "3", "4"}, index.LessOrEquals: {"1", "2", "3", "4"},
		})
		f.delete("4")
		s := f.get("3")
		f.replace(New("3", f.start, Expires(f.start.Add(time.Hour)), Sequence(2)), s)
		f.advance(time.Hour)
		f.found(nil, "1", "2", "5")
	}},
	{name: "creation at the ends of the range", run: func(f *fixture) {
		f.put(New("1", 0, User("u", ""), Expires(session.Never)))
		f.put(New("2", 1, User("u", ""), Expires(session.Never)))
		f.put(New("3", session.MaxScore-2, User("u", ""), Expires(session.Never)))
		f.put(New("4", session.MaxScore-1, User("u", ""), Expires(session.Never)))
		f.found(nil, "1", "2", "3", "4")
		for _, more := range [][]index.Predicate{nil, {index.ByUser("u")}} {
			by := func(d index.Dates) []index.Predicate { return append(slices.Clip(more), index.ByCreation(d)) }
			f.found(by(index.Compare(index.Equals, time.Unix(0, 0))), "1")
			f.found(by(index.Compare(index.Less, time.Unix(0, 0))))
			f.found(by(index.Compare(index.Greater, time.Unix(0, 0))), "2", "3", "4")
			f.found(by(index.Compare(index.Greater, (session.MaxScore-2).Std())), "4")
			f.found(by(index.Compare(index.GreaterOrEquals, session.MaxScore.Std())))
			f.found(by(index.Compare(index.LessOrEquals, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))), "1", "2", "3", "4")
			f.found(by(index.Compare(index.GreaterOrEquals, time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC))), "1", "2", "3", "4")
		}
	}},
	{name: "a creation in the future", run: func(f *fixture) {
		f.put(New("1", f.start, Created(f.start.Add(48*time.Hour)), User("u", "")))
		f.put(New("2", f.start, User("u", "")))
		f.found([]index.Predicate{index.ByUser("u")}, "2", "1")
		f.found([]index.Predicate{index.ByCreation(index.Compare(index.Greater, f.start.Std()))}, "1")
	}},
	{name: "with another predicate", run: func(f *fixture) {
		f.puts(many(50, f.start, 1))
		f.puts([]*session.Session{New("1", f.start+10, User("u", ""))})
		d := index.ByCreation(index.Dates{Min: f.start + 10, Max: f.start + 12})
		for _, p := range []index.Predicate{index.ByUser("many"), index.ByAgent("many"), index.ByCreator("many"), index.ByIDs(numbers(0, 50)...)} {
			f.found([]index.Predicate{p, d}, numbers(10, 13)...)
			f.found([]index.Predicate{d, p}, numbers(10, 13)...)
		}
		f.found([]index.Predicate{d}, "1", number(10), number(11), number(12))
	}},
	{name: "bounds beyond every date", run: func(f *fixture) {
		f.put(New("1", f.start))
		for _, d := range []index.Dates{
			always, {Min: math.MinInt64, Max: session.Never - 1}, {Min: -5, Max: math.MaxInt64}, {Min: math.MinInt64 + 1, Max: session.MaxScore},
		} {
			f.found([]index.Predicate{index.ByCreation(d)}, "1")
			f.found([]index.Predicate{index.ByExpiration(d)}, "1")
		}
		f.found([]index.Predicate{index.ByCreation(index.Dates{Min: math.MinInt64, Max: math.MinInt64})})
		f.found([]index.Predicate{index.ByExpiration(index.Dates{Min: math.MaxInt64, Max: math.MinInt64})})
	}},
}

// dates checks what a date predicate with each method finds, alone and beside another.
func (f *fixture) dates(by func(index.Dates) index.Predicate, at time.Time, want map[index.Method][]session.ID) {
	f.Helper()
	for m, ids := range want {
		p := by(index.Compare(m, at))
		f.found([]index.Predicate{p}, ids...)
		f.found([]index.Predicate{p, index.ByCreator("gateway")}, ids...)
		f.found([]index.Predicate{index.ByIDs("1", "2", "3", "4", "5", "6"), p}, ids...)
	}
	f.found([]index.Predicate{by(index.Compare(99, at))})
}
