package storetest

import (
	"math"
	"slices"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

var pageTests = []contractTest{
	{name: "offset and limit", run: func(f *fixture) {
		f.puts(many(10, f.start, 1))
		for _, ps := range manyPredicates(10) {
			f.page(index.Query{Predicates: ps, Sees: all, Ascending: true, Limit: 3}, 10, numbers(0, 3)...)
			f.page(index.Query{Predicates: ps, Sees: all, Limit: 3}, 10, numbers(9, 6)...)
			f.page(index.Query{Predicates: ps, Sees: all, Ascending: true, Limit: 3, Offset: 8}, 10, numbers(8, 10)...)
			f.page(index.Query{Predicates: ps, Sees: all, Limit: 1, Offset: 9}, 10, number(0))
			f.page(index.Query{Predicates: ps, Sees: all, Limit: 3, Offset: 10}, 10)
			f.page(index.Query{Predicates: ps, Sees: all, Limit: 3, Offset: 99_999}, 10)
			f.page(index.Query{Predicates: ps, Sees: all}, 10)
			f.page(index.Query{Predicates: ps, Sees: all, Offset: 5}, 10)
			f.page(index.Query{Predicates: ps, Sees: all, Ascending: true, Limit: math.MaxInt}, 10, numbers(0, 10)...)
		}
		f.page(index.Query{Predicates: []index.Predicate{index.ByUser("many")}, Sees: all, Limit: 3, Offset: math.MaxUint64}, 10)
	}},
	{name: "hundreds created in one microsecond", run: func(f *fixture) {
		const n = 700
		sessions := many(n, f.start, 0)
		f.puts(slices.Concat(sessions[n/2:], sessions[:n/2]))
		f.puts([]*session.Session{New("1", f.start-1, User("many", "")), New("9", f.start+1, User("many", ""))})
		for _, ps := range [][]index.Predicate{
			nil,
			{index.ByUser("many")},
			{index.ByCreation(always)},
			{index.ByUser("many"), index.ByCreation(index.Dates{Min: f.start - 1, Max: f.start + 1})},
			{index.ByExpiration(always)},
		} {
			f.page(index.Query{Predicates: ps, Sees: all, Ascending: true, Limit: 3}, n+2, "1", number(0), number(1))
			f.page(index.Query{Predicates: ps, Sees: all, Limit: 3}, n+2, "9", number(n-1), number(n-2))
			f.page(index.Query{Predicates: ps, Sees: all, Ascending: true, Limit: 10, Offset: 401}, n+2, numbers(400, 410)...)
			f.page(index.Query{Predicates: ps, Sees: all, Limit: 10, Offset: 401}, n+2, numbers(n-401, n-411)...)
			f.page(index.Query{Predicates: ps, Sees: all, Ascending: true, Limit: 10, Offset: n}, n+2, number(n-1), "9")
		}
		for _, ps := range manyPredicates(n) {
			for offset := 0; offset < n; offset += 99 {
				f.page(index.Query{Predicates: append(slices.Clip(ps), index.ByCreator("many")), Sees: all, Ascending: true, Limit: 99, Offset: uint64(offset)},
					n, numbers(offset, min(offset+99, n))...)
			}
		}
	}},
	{name: "an offset into nothing", run: func(f *fixture) {
		f.puts(many(400, f.start, 1))
		for _, d := range []index.Dates{
			{Min: session.Never, Max: session.Never},
			{Min: session.MaxScore - 1, Max: session.Never},
			{Min: f.start + 400, Max: f.start + 500},
			{Min: 0, Max: f.start - 1},
			{Min: math.MinInt64, Max: -1},
		} {
			for _, offset := range []uint64{0, 1, 251, 399, 400, 5000} {
				for _, ps := range [][]index.Predicate{{index.ByCreation(d)}, {index.ByCreation(d), index.ByUser("many")}, {index.ByCreation(d), index.ByCreator("many")}} {
					f.page(index.Query{Predicates: ps, Sees: all, Limit: 5, Offset: offset}, 0)
					f.page(index.Query{Predicates: ps, Sees: all, Limit: 5, Offset: offset, Ascending: true}, 0)
				}
			}
		}
	}},
	{name: "a page of 1,000", run: func(f *fixture) {
		f.puts(many(1300, f.start, 3))
		for _, ps := range manyPredicates(1300) {
			f.page(index.Query{Predicates: ps, Sees: all, Ascending: true, Limit: 1000}, 1300, numbers(0, 1000)...)
			f.page(index.Query{Predicates: ps, Sees: all, Limit: 1000}, 1300, numbers(1299, 299)...)
			f.page(index.Query{Predicates: ps, Sees: all, Ascending: true, Limit: 1000, Offset: 1000}, 1300, numbers(1000, 1300)...)
			f.page(index.Query{Predicates: ps, Sees: all, Limit: 250, Offset: 249}, 1300, numbers(1050, 800)...)
		}
	}},
	{name: "10,000 explicit IDs", run: func(f *fixture) {
		f.puts(many(600, f.start, 1))
		ids := numbers(300, 10_300)
		slices.Reverse(ids)
		ids = append(ids, ids[9_000:]...)
		f.page(index.Query{Predicates: []index.Predicate{index.ByIDs(ids...)}, Sees: all, Ascending: true, Limit: 1000}, 300, numbers(300, 600)...)
		f.page(index.Query{Predicates: []index.Predicate{index.ByIDs(ids...), index.ByUser("many")}, Sees: all, Limit: 5}, 300, numbers(599, 594)...)
		f.page(index.Query{Predicates: []index.Predicate{index.ByIDs(ids...), index.ByIDs(numbers(0, 302)...)}, Sees: all, Ascending: true, Limit: 5}, 2, numbers(300, 302)...)
		f.page(index.Query{Predicates: []index.Predicate{index.ByIDs(ids...)}, Sees: index.Sees{UserID: "many"}, Ascending: true, Limit: 1}, 300, number(300))
		f.page(index.Query{Predicates: []index.Predicate{index.ByIDs(ids...)}, Sees: index.Sees{UserID: "other"}, Ascending: true, Limit: 1}, 0)
	}},
	{name: "pages of sessions that become fewer", run: func(f *fixture) {
		const n = 400
		sessions := many(n, f.start, 1)
		var left []session.ID
		for i, s := range sessions {
			if i%5 == 0 { // a fifth ends early, unswept
				s.ExpirationDate = f.start.Add(time.Minute)
			} else {
				left = append(left, s.ID)
			}
		}
		f.puts(sessions)
		f.advance(time.Minute)
		for _, ps := range manyPredicates(n) {
			for _, offset := range []int{0, 1, 100, 310, 320, 400} {
				from := min(offset, len(left))
				f.page(index.Query{Predicates: ps, Sees: all, Ascending: true, Limit: 60, Offset: uint64(offset)}, len(left), left[from:min(from+60, len(left))]...)
			}
		}
	}},
	{name: "the expiry of everything", run: func(f *fixture) {
		f.puts(many(90, f.start, 1))
		f.advance(2 * time.Hour)
		for _, ps := range manyPredicates(90) {
			f.page(index.Query{Predicates: ps, Sees: all, Limit: 10}, 0)
			f.page(index.Query{Predicates: ps, Sees: all, Limit: 10, Offset: 50}, 0)
		}
		f.puts(many(90, f.start.Add(time.Hour), 1, Expires(session.Never)))
		for _, ps := range manyPredicates(90) {
			f.page(index.Query{Predicates: ps, Sees: all, Ascending: true, Limit: 10, Offset: 50}, 90, numbers(50, 60)...)
		}
	}},
}

// manyPredicates returns ways to find all of many(n, …).
func manyPredicates(n int) [][]index.Predicate {
	return [][]index.Predicate{
		nil,
		{index.ByUser("many")},
		{index.ByAgent("many")},
		{index.ByCreator("many")},
		{index.ByIDs(numbers(n-1, -1)...)},
		{index.ByCreation(always)},
		{index.ByExpiration(always)},
		{index.ByUser("many"), index.ByAgent("many"), index.ByExpiration(index.Dates{Min: 0, Max: session.Never})},
	}
}
