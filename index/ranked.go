package index

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/zlist"
	"github.com/redis/go-redis/v9"
)

const (
	// maxMergedOffset is the largest offset of a ranked search over several shards.
	maxMergedOffset = 100_000
	// maxOffset is beyond every list, and leaves room for arithmetic.
	maxOffset = 1 << 52
	// looks is how often a ranked search begins anew because what it looked at
	// has changed meanwhile.
	looks = 20
)

// errTooFar refuses an offset that would cost too much.
var errTooFar = &session.InvalidError{Field: "query.offset", Problem: fmt.Sprintf("must be at most %d where sessions are spread over shards", maxMergedOffset)}

// ranked answers a search whose driver covers it, at any offset, without
// looking at what comes before the page: totals are counts, and the page is
// taken by rank. What is counted and excluded, because it is due or ends on a
// date that is not asked for, is known by its card, because a shard's cards and
// list entries change together (I5): it is subtracted from the total and left out
// of the page. (I9)
func (ix *Index) ranked(ctx context.Context, plan *Plan, w *work) (*Page, error) {
	q, now, d := plan.q, plan.now, plan.driver
	r := &ranking{ix: ix, rdb: ix.searchRdb, q: q, now: now, d: d, shards: make([]*shardList, len(d.lists))}
	if len(d.lists) > 1 && q.Offset > maxMergedOffset {
		return nil, errTooFar
	}
	defer r.leave()
	if plan.costly() {
		if err := r.enter(ctx); err != nil {
			return nil, err
		}
	}
	for i, key := range d.lists {
		r.shards[i] = &shardList{shard: i, List: zlist.List{Key: key}, margins: d.margins()}
	}
	skip, err := r.begin(ctx)
	if err != nil {
		return nil, err
	}
	q.Explain.ranked(r.shards)
	page, partial := &Page{At: now}, false
	for _, p := range r.shards {
		page.Total += uint64(max(p.count-int64(len(p.excluded)), 0))
		partial = partial || p.partial
	}
	if q.Limit == 0 || q.Offset >= page.Total {
		return page, nil
	}
	merged := merge(ctx, r.shards, q)
	next := func() (Candidate, bool, error) {
		c, ok, err := merged()
		if ok {
			w.candidates++
		}
		return c, ok, err
	}
	for ; skip > 0; skip-- {
		if _, ok, err := next(); err != nil || !ok {
			return page, err
		}
	}
	counted := page.Total
	resolved, err := ix.fill(ctx, q, now, page, chunk, next)
	q.Explain.examined(resolved)
	switch {
	case q.Cursor != nil:
		// What is gone by now need not have been counted: lists are read later. So
		// entries without a session stay in the total, on every page alike.
		page.Total = max(counted, uint64(len(page.Sessions)))
	case partial:
		page.Total = counted // what is due beyond the cards that were read may be in it, or not
	}
	return page, err
}

// ranking is one ranked search under way.
type ranking struct {
	ix     *Index
	rdb    redis.UniversalClient
	q      *Query
	now    session.Time
	d      *driver
	shards []*shardList
	// costly says that it runs as a costly search, since began.
	costly bool
	began  time.Time
}

// enter waits for its turn among costly searches, and uses their connections.
func (r *ranking) enter(ctx context.Context) error {
	if r.costly {
		return nil
	}
	began, err := r.ix.enter(ctx, r.q)
	if err != nil {
		return err
	}
	r.costly, r.began, r.rdb = true, began, r.ix.costlyRdb
	return nil
}

func (r *ranking) leave() {
	if r.costly {
		r.ix.costly.leave(r.began)
	}
}

// shardList is the list of one shard, and what one MULTI saw of it.
type shardList struct {
	zlist.List
	shard int
	count int64 // elements within the dates
	// before is how many of these come before the first that the list gives; it is
	// not known behind a position.
	before  int64
	margins []margin
	// excluded are the list's sessions whose cards are in a margin, with their
	// creation dates; partial says that there are more.
	excluded map[session.ID]session.Time
	partial  bool
}

// start says where the reading begins: at a rank within the dates (one shard),
// or at a creation date (bisected).
type start struct {
	rank   int64
	byDate bool
	date   session.Time
	skip   int64 // about how many come between date and the page
	// behind says that the page begins behind the query's Cursor.
	behind bool
}

// begin opens the lists at or a little before the page; skip is how many
// sessions they give before it, the excluded not counted.
//
// With one shard it tries the page's rank first. If many excluded come before the
// page, that is too early, and the page's date is bisected, as with several
// shards; once the excluded are known, bisecting takes them into account.
func (r *ranking) begin(ctx context.Context) (skip int64, err error) {
	if r.q.goesOn() {
		return 0, r.beginBehind(ctx)
	}
	offset := int64(min(r.q.Offset, maxOffset))
	at := start{rank: offset, byDate: len(r.shards) > 1}
	// The rank at which the dates begin would have to be asked for first. Near
	// their beginning it is one round trip less to read from there.
	l := zlist.List{Range: zlist.Range(r.d.dates), Desc: !r.q.Ascending}
	if !l.OpenAtStart() && offset+int64(r.q.Limit)+zlist.Slack <= chunk {
		at.byDate = true
	}
	exact := false // the start was chosen with all excluded known
	for range looks {
		if at.byDate {
			if at, err = r.bisect(ctx); err != nil {
				return 0, err
			}
		}
		settled, err := r.look(ctx, at)
		if err != nil {
			return 0, err
		}
		if !settled {
			exact = false
			continue
		}
		skip, live := offset, int64(0)
		for _, p := range r.shards {
			skip -= p.before - p.excludedBefore(at)
			live += p.count - int64(len(p.excluded))
		}
		if offset >= live || skip >= 0 && (skip <= chunk || exact) {
			return max(skip, 0), nil
		}
		// Too early; or, since the start was chosen, sessions have come in
		// before it, or excluded ones have gone: choose again.
		at.byDate, exact = true, true
	}
	return 0, zlist.ErrTooFast
}

// look reads counts, margins and the first elements of every shard, one MULTI a
// shard, so that a shard's answers belong together. It says whether that is
// enough to go by; if not, it must be called again.
func (r *ranking) look(ctx context.Context, at start) (settled bool, err error) {
	multis := make([]redis.Pipeliner, len(r.shards))
	answered := make([]func(), len(r.shards))
	for i, p := range r.shards {
		multis[i] = r.rdb.TxPipeline()
		if answered[i], err = r.ask(ctx, multis[i], p, at); err != nil {
			return false, err
		}
	}
	switch {
	case len(multis) == 1:
		_, err = multis[0].Exec(ctx)
	case r.costly:
		err = execAll(ctx, r.rdb, multis, costlyMultis)
	default:
		err = execAll(ctx, r.rdb, multis, multisAtOnce)
	}
	if err != nil && !errors.Is(err, redis.Nil) {
		return false, err
	}
	for _, take := range answered {
		take()
	}
	return r.exclude(ctx)
}

// ask queues what look asks of a shard. answered takes the answers.
func (r *ranking) ask(ctx context.Context, pipe redis.Pipeliner, p *shardList, at start) (answered func(), err error) {
	p.List = zlist.List{Redis: r.rdb, Key: p.Key, Range: zlist.Range(r.d.dates), Desc: !r.q.Ascending}
	if at.behind {
		p.Behind(zlist.Entry{At: r.q.Cursor.Creation, Member: string(r.q.Cursor.ID)})
	}
	from := at.rank
	if !at.byDate && !p.OpenAtStart() {
		base, err := p.Outside(ctx, r.rdb).Result()
		if err != nil {
			return nil, err
		}
		from += base
	}
	wanted, most := min(int64(r.q.Limit), maxOffset), int64(zlist.MaxRead)
	if r.q.Cursor != nil { // one more says whether more follow, and needs one more element
		wanted, most = wanted+1, most+1
	}
	size := min(wanted+zlist.Slack, most)
	if n := int64(len(r.shards)); n > 1 { // they share the page about evenly
		wanted = (at.skip + wanted) / n
		size = min(2*wanted+zlist.Slack, chunk)
	} else if at.byDate {
		wanted += at.skip
		size = min(wanted+zlist.Slack, chunk)
	}
	p.Wanted = wanted + zlist.Slack

	catalogue := r.ix.keys.Catalogue(p.shard)
	var before *redis.IntCmd
	var behind zlist.RankProbe
	var chunks []*redis.ZSliceCmd
	count := pipe.ZCount(ctx, p.Key, session.Score(p.Range.Min), session.Score(p.Range.Max))
	for i := range p.margins {
		p.margins[i].ask(ctx, pipe, catalogue)
	}
	if at.byDate {
		rest := p.List
		if p.Desc {
			rest.Range.Max = at.date
		} else {
			rest.Range.Min = at.date
		}
		chunks = append(chunks, rest.First(ctx, pipe, size))
		switch {
		case at.behind:
			behind = p.ProbeRank(ctx, pipe, at.date)
		case p.Desc:
			before = pipe.ZCount(ctx, p.Key, "("+session.Score(at.date), session.Score(p.Range.Max))
		default:
			before = pipe.ZCount(ctx, p.Key, session.Score(p.Range.Min), "("+session.Score(at.date))
		}
	} else {
		if !p.OpenAtStart() {
			before = p.Outside(ctx, pipe)
		}
		chunks = p.Chunks(ctx, pipe, from, size)
	}
	return func() {
		p.count = count.Val()
		for i := range p.margins {
			p.margins[i].answered()
		}
		switch {
		case at.behind:
			p.FilledBehind(chunks[0].Val(), size, behind)
		case at.byDate:
			p.before = before.Val()
			rank := int64(-1)
			if p.OpenAtStart() {
				rank = p.before
			}
			p.Filled(rank, chunks[0].Val(), size)
		default:
			base := int64(0)
			if before != nil {
				base = before.Val()
			}
			p.before = max(from-base, 0)
			p.FilledFrom(from, base, size, chunks)
		}
	}, nil
}

// merge gives what is not excluded of all lists, in the order of q.
func merge(ctx context.Context, shards []*shardList, q *Query) func() (Candidate, bool, error) {
	heads := make([]*Candidate, len(shards))
	return func() (Candidate, bool, error) {
		best := -1
		for i, p := range shards {
			for heads[i] == nil {
				e, ok, err := p.Next(ctx)
				if err != nil {
					return Candidate{}, false, err
				}
				if !ok {
					break
				}
				id := MemberID(e.Member)
				if _, excluded := p.excluded[id]; !excluded {
					heads[i] = &Candidate{e.At, id}
				}
			}
			if heads[i] != nil && (best < 0 || q.compare(*heads[i], *heads[best]) < 0) {
				best = i
			}
		}
		if best < 0 {
			return Candidate{}, false, nil
		}
		p := *heads[best]
		heads[best] = nil
		return p, true, nil
	}
}
