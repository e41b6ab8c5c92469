package storetest

import (
	"errors"
	"math"
	"slices"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"pgregory.net/rapid"
)

func (p *property) search(t *rapid.T) { p.compare(t, p.query(t, all)) }

func (p *property) searchCaller(t *rapid.T) { p.compare(t, p.query(t, p.sees(t))) }

// sees draws a caller without session.read.
func (p *property) sees(t *rapid.T) index.Sees {
	var sees index.Sees
	if rapid.Bool().Draw(t, "user") {
		sees.UserID = rapid.SampledFrom([]string{"u0", "u1", "c0"}).Draw(t, "caller")
	}
	if rapid.Bool().Draw(t, "agent") {
		sees.AgentID = rapid.SampledFrom([]string{"a0", "a1"}).Draw(t, "caller's agent")
	}
	if rapid.IntRange(0, 2).Draw(t, "orgs") == 0 {
		sees.Orgs = []string{rapid.SampledFrom([]string{"o0", "o1", ""}).Draw(t, "org")}
	}
	return sees
}

// turn goes on with a search behind its last page, whatever was done since, or
// begins another one.
func (p *property) turn(t *rapid.T) {
	if p.book == nil || rapid.IntRange(0, 9).Draw(t, "another") == 0 {
		q := p.query(t, all)
		q.Limit, q.Offset, q.Cursor = rapid.SampledFrom([]int{1, 3, 20, 260}).Draw(t, "page"), 0, &index.Candidate{}
		p.book = q
	}
	q := p.book
	p.book = nil
	if page := p.compare(t, q); page != nil && page.More {
		next := *q
		last := page.Sessions[len(page.Sessions)-1]
		next.Cursor = &index.Candidate{Creation: last.Creation, ID: last.ID}
		p.book = &next
	}
}

// compare asks both and compares sessions, order and totals. It returns the
// model's page, nil if the search was refused. The store's is released, so that
// what later searches find shows if anything kept a part of it. (I9)
func (p *property) compare(t *rapid.T, q *index.Query) *index.Page {
	p.ops++
	want, err := p.model.Search(p.ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Store.Search(p.ctx, q)
	var costly *index.TooCostlyError
	if errors.As(err, &costly) {
		if p.Limits.MaxCandidates == 0 || costly.Limit != p.Limits.MaxCandidates || !p.costly(q) {
			t.Fatalf("Search(%+v): %v", q, err)
		}
		return nil
	}
	if err != nil {
		t.Fatalf("Search(%+v): %v", q, err)
	}
	if got.Total != want.Total || got.At != want.At || got.More != want.More || !slices.Equal(pageIDs(got), pageIDs(want)) {
		t.Fatalf("Search(%+v) after %+v:\n%v of %d at %d, more %v, want\n%v of %d at %d, more %v",
			q, q.Cursor, pageIDs(got), got.Total, got.At, got.More, pageIDs(want), want.Total, want.At, want.More)
	}
	for i := range got.Sessions {
		// A page's sessions may come without their tokens.
		if g, w := got.Sessions[i], want.Sessions[i]; g.Facts != w.Facts || string(g.Doc) != string(w.Doc) {
			t.Fatalf("Search(%+v): session %s, want %s", q, show(g), show(w))
		}
	}
	got.Release()
	return want
}

// costly says that every predicate, and what the caller sees, leave more than
// MaxCandidates sessions, so that a search may be refused. A session that the
// caller created and that is its own may count twice.
// What is left to check other than a creator's sessions, or creation dates, may only be
// expiration dates that more sessions do not have.
func (p *property) costly(q *index.Query) bool {
	stored := p.model.stored()
	creators, others := map[string]bool{}, false
	for i := range q.Predicates {
		switch pred := &q.Predicates[i]; pred.Kind {
		case index.KindCreator:
			creators[pred.Value] = true
		case index.KindCreation, index.KindExpiration:
		default:
			others = true
		}
	}
	if q.Sees.All && !others && len(creators) <= 1 && otherEnds(q, p.model.Live(), p.Limits.MaxCandidates) <= p.Limits.MaxCandidates {
		return false
	}
	for i := range q.Predicates {
		n := candidates(q, &q.Predicates[i], stored)
		if q.Predicates[i].Kind == index.KindIDs {
			n = len(q.Predicates[i].IDs())
		}
		if n <= p.Limits.MaxCandidates {
			return false
		}
	}
	n := 0
	for _, s := range stored {
		if q.Sees.All || len(q.Sees.Orgs) > 0 || q.Sees.Match(&s.Facts) {
			n++
		}
	}
	return 3*n > p.Limits.MaxCandidates
}

func (p *property) query(t *rapid.T, sees index.Sees) *index.Query {
	q := &index.Query{Sees: sees, Ascending: rapid.Bool().Draw(t, "ascending")}
	q.Limit = rapid.SampledFrom([]int{0, 1, 2, 5, 20, 1000}).Draw(t, "limit")
	switch rapid.IntRange(0, 3).Draw(t, "later page") {
	case 0:
		q.Offset = uint64(rapid.IntRange(0, 1+p.ids/2).Draw(t, "offset"))
	case 1:
		q.Cursor = p.position(t)
	}
	for range rapid.SampledFrom([]int{0, 1, 1, 1, 2, 2, 3, 4}).Draw(t, "predicates") {
		q.Predicates = append(q.Predicates, p.predicate(t))
	}
	return q
}

// position draws the beginning, the place of a session, or any other.
func (p *property) position(t *rapid.T) *index.Candidate {
	switch rapid.IntRange(0, 3).Draw(t, "position") {
	case 0:
		return &index.Candidate{}
	case 1:
		if s, ok := p.live(t); ok {
			return &index.Candidate{Creation: s.model.Creation, ID: s.model.ID}
		}
	}
	return &index.Candidate{Creation: p.start + session.Time(rapid.IntRange(-1, 201).Draw(t, "micros")), ID: p.id(t)}
}

func (p *property) predicate(t *rapid.T) index.Predicate {
	switch index.Kind(rapid.IntRange(1, 6).Draw(t, "kind")) {
	case index.KindIDs:
		return index.ByIDs(p.explicit(t)...)
	case index.KindUser:
		return index.ByUser(rapid.SampledFrom(append(users, "none", "")).Draw(t, "user"))
	case index.KindAgent:
		return index.ByAgent(rapid.SampledFrom(append(agents, "none", "")).Draw(t, "agent"))
	case index.KindCreator:
		return index.ByCreator(rapid.SampledFrom([]string{"c0", "c1", "u0", "gateway", ""}).Draw(t, "creator"))
	case index.KindCreation:
		return index.ByCreation(p.dates(t, p.start+session.Time(rapid.IntRange(-1, 201).Draw(t, "micros"))))
	default:
		return index.ByExpiration(p.dates(t, p.someEnd(t)))
	}
}

// explicit draws IDs: a few, or a long row of which many are unknown.
func (p *property) explicit(t *rapid.T) []session.ID {
	from := rapid.IntRange(0, p.ids-1).Draw(t, "from")
	n := rapid.SampledFrom([]int{0, 1, 3, 30, 300}).Draw(t, "IDs")
	ids := numbers(from, from+n)
	if n > 1 && rapid.Bool().Draw(t, "twice") {
		ids = append(ids, ids[0])
	}
	return ids
}

// someEnd draws an instant at or near which sessions end.
func (p *property) someEnd(t *rapid.T) session.Time {
	switch rapid.IntRange(0, 4).Draw(t, "end") {
	case 0:
		return p.Clock.Now()
	case 3: // a clock that is ahead, or behind
		return p.Clock.Now().Add(time.Duration(rapid.IntRange(-3, 30).Draw(t, "seconds")) * time.Second)
	case 1:
		return session.MaxScore + session.Time(rapid.IntRange(-2, 3).Draw(t, "2255"))
	case 2:
		if s, ok := p.live(t); ok && s.model.Expiration != session.Never {
			return s.model.Expiration
		}
	}
	return p.Clock.Now().Add(time.Duration(rapid.IntRange(-2, 12).Draw(t, "minutes")) * time.Minute)
}

// dates draws what a method makes of an instant, or an interval that begins there.
func (p *property) dates(t *rapid.T, at session.Time) index.Dates {
	switch rapid.IntRange(0, 7).Draw(t, "dates") {
	case 0:
		return index.Dates{Min: at, Max: at + session.Time(rapid.IntRange(-1, 50).Draw(t, "length"))}
	case 1:
		return index.Dates{Min: at - 3600e6, Max: at.Add(time.Hour)}
	case 2:
		return rapid.SampledFrom([]index.Dates{
			always, {Min: math.MinInt64, Max: session.Never - 1}, {Min: session.Never, Max: session.Never}, {Min: 1, Max: 0},
		}).Draw(t, "bounds")
	}
	nanos := time.Duration(rapid.SampledFrom([]int{0, 0, 1, 999}).Draw(t, "nanos"))
	return index.Compare(index.Method(rapid.IntRange(0, 4).Draw(t, "method")), at.Std().Add(nanos))
}
