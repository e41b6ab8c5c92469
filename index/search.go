package index

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/zlist"
	"github.com/redis/go-redis/v9"
)

// Search returns the page that q asks for, as Query.Match defines it at now, by
// the store's clock. It answers *TooCostlyError if more than
// Config.MaxCandidates sessions would have to be examined; ErrBusy if it is a
// costly one and too many others are; every other error is Redis' or the
// context's.
//
// A search for the few sessions of a user, a user agent, or of a caller without
// session.read takes two round trips: lists, documents; or one, if the same sessions were
// on the one list when it was last read (guesses). A page of everything, of a creator or
// of a creation range takes two as well: counts and the page's IDs, documents. Others count the candidates of each predicate first, and examine
// the fewest, or go through such lists where fewer end on another date than is
// asked for.
func (ix *Index) Search(ctx context.Context, q *Query, now session.Time) (*Page, error) {
	if q.Cursor != nil && q.Offset != 0 {
		return nil, &session.InvalidError{Field: "query.offset", Problem: "must be 0 where there is a query.cursor"}
	}
	p := ix.plan(q, now)
	q.Explain.begin()
	var w work
	page, err := ix.run(ctx, &p, &w)
	ix.counts.add(w, err)
	q.Explain.end(&p, &w, err)
	return page, err
}

// run answers a search as planned, and tells w what it did.
func (ix *Index) run(ctx context.Context, p *Plan, w *work) (*Page, error) {
	q, now := p.q, p.now
	if p.held {
		w.source = sourceCopy
		q.Explain.Did(StepHeldList)
		list, ok, err := ix.users(ctx, p.narrowed.user, q.Evidence)
		if err != nil {
			return nil, err
		}
		if list = within(list, p.narrowed.creation); ok && len(list) <= ix.maxCandidates {
			w.candidates = len(list)
			return ix.examine(ctx, q, now, list)
		}
	}
	q.Evidence.Other()
	w.source = p.source
	if p.short {
		q.Explain.Did(StepShortList)
		page, all, err := ix.short(ctx, p, w)
		if all || err != nil {
			return page, err
		}
	}
	if p.way == undecided {
		err := ix.decide(ctx, p)
		w.source = p.source
		if err != nil {
			return nil, err
		}
	}
	switch p.way {
	case nothing:
		q.Explain.Did(StepNothing)
		return &Page{At: now}, nil
	case given:
		w.candidates = len(p.narrowed.ids)
		q.Explain.Did(StepGivenIDs)
		return ix.examine(ctx, q, now, candidatesOf(p.narrowed.ids))
	case rank:
		q.Explain.Did(StepRanked)
		return ix.ranked(ctx, p, w)
	case refuse:
		return nil, ix.tooCostly(q, p.driver)
	}
	rdb := ix.searchRdb
	if p.costly() {
		began, err := ix.enter(ctx, q)
		if err != nil {
			return nil, err
		}
		defer ix.costly.leave(began)
		if rdb = ix.costlyRdb; q.mayRead().Replicas() {
			rdb = ix.replicasRdb
		}
	}
	w.candidates = int(p.driver.count)
	found, err := ix.collect(ctx, rdb, q, p.driver)
	if err != nil {
		return nil, err
	}
	if len(found) > ix.maxCandidates {
		return nil, ix.tooCostly(q, p.driver)
	}
	q.Explain.Did(StepExamined)
	return ix.examine(ctx, q, now, found)
}

// enter waits for a costly search's turn.
func (ix *Index) enter(ctx context.Context, q *Query) (began time.Time, err error) {
	if q.Explain == nil {
		return ix.costly.enter(ctx)
	}
	asked := time.Now()
	began, err = ix.costly.enter(ctx)
	q.Explain.Costly, q.Explain.Waited = err == nil, began.Sub(asked)
	return began, err
}

func (ix *Index) tooCostly(q *Query, d *driver) error {
	e := &TooCostlyError{Limit: ix.maxCandidates, Unprivileged: q.Sees.ownOnly()}
	if d.kind != 0 {
		e.Predicate = d.kind.String()
	}
	if q.Sees.All {
		e.Candidates = d.count
	}
	return e
}

// Candidate is a session that a search may have to look at.
type Candidate struct {
	Creation session.Time // 0 as long as it is not known
	ID       session.ID
}

func candidatesOf(ids []session.ID) []Candidate {
	cs := make([]Candidate, len(ids))
	for i, id := range ids {
		cs[i].ID = id
	}
	return cs
}

// within returns the part of a list, oldest first, that lies within dates.
func within(list []Candidate, dates Dates) []Candidate {
	byCreation := func(c Candidate, t session.Time) int { return cmp.Compare(c.Creation, t) }
	from, _ := slices.BinarySearchFunc(list, dates.Min, byCreation)
	list = list[from:]
	if dates.Max == session.Never {
		return list
	}
	to, _ := slices.BinarySearchFunc(list, dates.Max+1, byCreation)
	return list[:to]
}

// short answers a search from the first chunk of each of its lists; all is false if there
// is more, or so much that the search is a costly one.
func (ix *Index) short(ctx context.Context, p *Plan, w *work) (page *Page, all bool, err error) {
	lists, dates := ix.shortLists(p), p.narrowed.creation
	var ids []session.ID
	mayGuess := len(lists) == 1 && (ix.users == nil || !p.q.Reads.Copies()) // copies are better than a guess
	if mayGuess {
		ids = ix.guesses.of(lists[0])
	}
	memory := session.NewMemory()
	members, whole, read, err := ix.lists(ctx, lists, minScore(dates), maxScore(dates), chunk, ids, memory)
	if err != nil && ids != nil && ctx.Err() == nil { // perhaps of a session that is not on the list any more
		ix.guesses.forget(lists[0])
		ids = nil
		members, whole, read, err = ix.lists(ctx, lists, minScore(dates), maxScore(dates), chunk, nil, memory)
	}
	if err != nil || !whole || len(members) > costly {
		memory.Release()
		return nil, false, err
	}
	found := make([]Candidate, len(members))
	for i, m := range members {
		found[i].ID = MemberID(m)
	}
	w.candidates = len(found)
	found = unique(found)
	p.q.Explain.Read(0, len(read), 0)
	if mayGuess {
		stored, ok := pick(found, ids, read)
		if !ok || slices.Contains(read, nil) {
			ix.guesses.learn(lists[0], found, ids, read)
		}
		if ok {
			if len(ids) > 0 {
				p.q.Explain.Did(StepGuessed)
			}
			p.q.Explain.examined(len(stored))
			return p.q.pageOf(p.now, memory, p.q.matching(stored[:0], stored, p.now)), true, nil
		}
	}
	page, err = ix.examine(ctx, p.q, p.now, found)
	memory.Release() // which has the members
	return page, true, err
}

// collect reads all candidates of a driver, each once, in the order of their
// IDs. Cards that cannot match are left out.
func (ix *Index) collect(ctx context.Context, rdb redis.UniversalClient, q *Query, d *driver) ([]Candidate, error) {
	if d.kind == KindIDs {
		return candidatesOf(d.ids), nil
	}
	lists := make([]*zlist.List, len(d.lists))
	firsts := make([]*redis.ZSliceCmd, len(d.lists))
	pipe := rdb.Pipeline()
	for i, key := range d.lists {
		lists[i] = &zlist.List{Redis: rdb, Key: key, Range: zlist.Range(d.dates)}
		firsts[i] = lists[i].First(ctx, pipe, chunk)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	found := make([]Candidate, 0, d.count)
	for i, l := range lists {
		l.Filled(-1, firsts[i].Val(), chunk)
		for read := 0; ; read++ {
			e, ok, err := l.Next(ctx)
			if err != nil {
				return nil, err
			}
			if !ok {
				break
			}
			if read > 2*ix.maxCandidates { // it has grown since it was counted
				return nil, ix.tooCostly(q, d)
			}
			if !d.cards {
				found = append(found, Candidate{e.At, MemberID(e.Member)})
				continue
			}
			c, err := UnpackCard(e.Member)
			facts := c.Facts(e.At)
			if err == nil && q.maybe(&facts) { // a card that cannot be read is no session's
				found = append(found, Candidate{c.Creation, c.ID})
			}
		}
	}
	return unique(found), nil
}

// maybe rules out what a card shows not to match. Its expiration date may be
// coarser than the document's, and it does not know the organization.
func (q *Query) maybe(s *session.Facts) bool {
	for i := range q.Predicates {
		if p := &q.Predicates[i]; p.Kind != KindExpiration && p.Kind != KindIDs && !p.Match(s) {
			return false
		}
	}
	return true
}

// unique sorts by ID and drops repeats: a session can be in several of a
// driver's lists, or in one of them twice after a write was cut off.
func unique(ps []Candidate) []Candidate {
	slices.SortFunc(ps, func(a, b Candidate) int { return compareIDs(a.ID, b.ID) })
	return slices.CompactFunc(ps, func(a, b Candidate) bool { return a.ID == b.ID })
}
