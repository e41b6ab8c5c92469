package storetest

import (
	"errors"
	"slices"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

var cursorTests = []contractTest{
	{name: "page after page", run: func(f *fixture) {
		const n = 600 // four pages of 150
		f.puts(many(n, f.start, 3))
		for _, ps := range manyPredicates(n) {
			for _, limit := range []int{150, 260} {
				f.pages(index.Query{Predicates: ps, Sees: all, Ascending: true, Limit: limit}, n, nil, numbers(0, n)...)
				f.pages(index.Query{Predicates: ps, Sees: all, Limit: limit}, n, nil, numbers(n-1, -1)...)
			}
		}
		f.pages(index.Query{Predicates: []index.Predicate{index.ByCreator("many")}, Sees: index.Sees{UserID: "many"}, Limit: 130}, n, nil, numbers(n-1, -1)...)
		f.pages(index.Query{Sees: index.Sees{Orgs: []string{"o"}}, Limit: 130, Ascending: true}, n, nil, numbers(0, n)...)
		f.pages(index.Query{Predicates: []index.Predicate{index.ByUser("none")}, Sees: all, Limit: 5}, 0, nil)
	}},
	{name: "hundreds created in one microsecond", run: func(f *fixture) {
		const n = 700
		f.puts(many(n, f.start, 0))
		f.puts([]*session.Session{New("1", f.start-1, User("many", ""), Creator("many")), New("9", f.start+1, User("many", ""), Creator("many"))})
		ascending := slices.Concat([]session.ID{"1"}, numbers(0, n), []session.ID{"9"})
		descending := slices.Concat([]session.ID{"9"}, numbers(n-1, -1), []session.ID{"1"})
		for _, ps := range [][]index.Predicate{
			nil,
			{index.ByUser("many")},
			{index.ByCreator("many")},
			{index.ByCreation(index.Dates{Min: f.start - 1, Max: f.start + 1})},
			{index.ByExpiration(always)},
		} {
			for _, limit := range []int{80, 260} {
				f.pages(index.Query{Predicates: ps, Sees: all, Ascending: true, Limit: limit}, n+2, nil, ascending...)
				f.pages(index.Query{Predicates: ps, Sees: all, Limit: limit}, n+2, nil, descending...)
			}
		}
		within := []index.Predicate{index.ByCreation(index.Dates{Min: f.start, Max: f.start})}
		f.pages(index.Query{Predicates: within, Sees: all, Ascending: true, Limit: 60}, n, nil, numbers(0, n)...)
		f.pages(index.Query{Predicates: within, Sees: all, Limit: 60}, n, nil, numbers(n-1, -1)...)
	}},
	{name: "sessions go while one pages", run: func(f *fixture) {
		for _, step := range []session.Time{0, 1} {
			from := f.start.Add(time.Duration(step) * time.Second)
			left := numbers(int(step)*1000, int(step)*1000+700)
			for i, s := range many(700, from, step) {
				s.ID = left[i]
				f.puts([]*session.Session{s})
			}
			within := index.ByCreation(index.Dates{Min: from, Max: from + 700})
			for i, ps := range [][]index.Predicate{{within}, {within, index.ByUser("many")}, {within, index.ByCreator("many")}, {within, index.ByAgent("many"), index.ByUser("many")}} {
				q := index.Query{Predicates: ps, Sees: all, Ascending: i%2 == 0, Limit: 90}
				want := slices.Clone(left)
				if !q.Ascending {
					slices.Reverse(want)
				}
				f.pages(q, -1, func(p *index.Page) {
					if p.Total != uint64(len(left)) {
						f.Fatalf("total %d, want %d", p.Total, len(left))
					}
					for _, j := range []int{0, len(p.Sessions) / 2, len(p.Sessions) - 1} { // the last one, which is the position, too
						id := p.Sessions[j].ID
						f.delete(id)
						left = slices.DeleteFunc(left, func(other session.ID) bool { return other == id })
					}
				}, want...)
			}
		}
	}},
	{name: "sessions come while one pages", run: func(f *fixture) {
		const n = 300
		f.puts(many(n, f.start, 2))
		come := 0
		f.pages(index.Query{Sees: all, Ascending: true, Limit: 40}, -1, func(p *index.Page) {
			last := p.Sessions[len(p.Sessions)-1]
			f.put(New("before"+last.ID, last.Creation-1)) // would move the pages of an offset
			come++
			if p.Total != uint64(n+come-1) {
				f.Fatalf("total %d, want %d", p.Total, n+come-1)
			}
		}, numbers(0, n)...)
		if come < 7 {
			f.Fatalf("%d pages", come)
		}
	}},
	{name: "sessions end while one pages", run: func(f *fixture) {
		const n = 280
		sessions := many(n, f.start, 0)
		var left []session.ID
		for i, s := range sessions {
			if i >= 100 && i%4 != 0 { // they end, and are not swept
				s.ExpirationDate = f.start.Add(time.Minute)
			} else {
				left = append(left, s.ID)
			}
		}
		f.puts(sessions)
		first := true
		f.pages(index.Query{Sees: all, Ascending: true, Limit: 50}, -1, func(p *index.Page) {
			if first {
				f.advance(time.Minute)
				first = false
			} else if p.Total != uint64(len(left)) {
				f.Fatalf("total %d, want %d", p.Total, len(left))
			}
		}, left...)
	}},
	{name: "a position that no session has", run: func(f *fixture) {
		const n = 300
		f.puts(many(n, f.start, 10))
		between := func(i int) *index.Candidate {
			return &index.Candidate{Creation: f.start + session.Time(10*i) - 5, ID: "x"}
		}
		at := func(i int, suffix session.ID) *index.Candidate {
			return &index.Candidate{Creation: f.start + session.Time(10*i), ID: number(i) + suffix}
		}
		for _, ps := range [][]index.Predicate{nil, {index.ByCreator("many")}, {index.ByUser("many")}, {index.ByIDs(numbers(0, n)...)}} {
			f.page(index.Query{Predicates: ps, Sees: all, Ascending: true, Limit: 2, Cursor: between(7)}, n, numbers(7, 9)...)
			f.page(index.Query{Predicates: ps, Sees: all, Limit: 2, Cursor: between(7)}, n, numbers(6, 4)...)
			f.page(index.Query{Predicates: ps, Sees: all, Ascending: true, Limit: 2, Cursor: at(7, "")}, n, numbers(8, 10)...)
			f.page(index.Query{Predicates: ps, Sees: all, Limit: 2, Cursor: at(7, "")}, n, numbers(6, 4)...)
			f.page(index.Query{Predicates: ps, Sees: all, Ascending: true, Limit: 2, Cursor: at(7, "0")}, n, numbers(8, 10)...)
			f.page(index.Query{Predicates: ps, Sees: all, Limit: 2, Cursor: at(7, "0")}, n, numbers(7, 5)...)
			f.page(index.Query{Predicates: ps, Sees: all, Ascending: true, Limit: 2, Cursor: &index.Candidate{ID: "x"}}, n, numbers(0, 2)...)
			f.page(index.Query{Predicates: ps, Sees: all, Limit: 2, Cursor: &index.Candidate{ID: "x"}}, n)
			f.page(index.Query{Predicates: ps, Sees: all, Ascending: true, Limit: 2, Cursor: between(n)}, n)
			f.page(index.Query{Predicates: ps, Sees: all, Limit: 2, Cursor: between(n)}, n, numbers(n-1, n-3)...)
			// Outside the dates that are asked for.
			part := append(slices.Clip(ps), index.ByCreation(index.Dates{Min: f.start + 100, Max: f.start + 2890}))
			f.page(index.Query{Predicates: part, Sees: all, Ascending: true, Limit: 2, Cursor: between(3)}, 280, numbers(10, 12)...)
			f.page(index.Query{Predicates: part, Sees: all, Limit: 2, Cursor: between(3)}, 280)
			f.page(index.Query{Predicates: part, Sees: all, Ascending: true, Limit: 2, Cursor: between(295)}, 280)
			f.page(index.Query{Predicates: part, Sees: all, Limit: 2, Cursor: between(295)}, 280, numbers(289, 287)...)
		}
	}},
	{name: "not together with an offset", run: func(f *fixture) {
		f.puts(many(5, f.start, 1))
		for _, ps := range manyPredicates(5) {
			p, err := f.store.Search(f.Context(), &index.Query{Predicates: ps, Sees: all, Limit: 2, Offset: 1, Cursor: &index.Candidate{}})
			if e, ok := errors.AsType[*session.InvalidError](err); !ok || e.Field != "query.offset" {
				f.Fatalf("%+v, %v, want an *InvalidError of query.offset", p, err)
			}
			f.page(index.Query{Predicates: ps, Sees: all, Cursor: &index.Candidate{}}, 5) // without a limit: the total alone
		}
	}},
}

// pages follows a search page by page, from the beginning to its end: together
// they must have want, in this order. between, if given, sees each page, and may
// change what is stored; total is that of each page, -1 if it moves.
func (f *fixture) pages(q index.Query, total int, between func(*index.Page), want ...session.ID) {
	f.Helper()
	q.Cursor = &index.Candidate{}
	var got []session.ID
	for more := true; more; {
		p := f.search(q)
		if total >= 0 && p.Total != uint64(total) {
			f.Fatalf("Search(%+v) after %+v: total %d, want %d", q, *q.Cursor, p.Total, total)
		}
		if more = p.More; more && len(p.Sessions) != q.Limit {
			f.Fatalf("Search(%+v) after %+v: more is to follow a page of %d sessions", q, *q.Cursor, len(p.Sessions))
		}
		got = append(got, pageIDs(p)...)
		if len(got) > len(want) {
			break
		}
		if between != nil && len(p.Sessions) > 0 {
			between(p)
		}
		if more {
			last := p.Sessions[len(p.Sessions)-1]
			q.Cursor = &index.Candidate{Creation: last.Creation, ID: last.ID}
			if len(got) == len(want) && between == nil {
				f.Fatalf("Search(%+v): more is to follow the last page", q)
			}
		}
	}
	if !slices.Equal(got, want) {
		f.Fatalf("Search(%+v), all pages: %v, want %v", q, got, want)
	}
}
