package index

import (
	"context"
	"fmt"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

// maxWindow is the most elements of one list that the first round trip of a
// ranked search reads, in commands of one chunk each.
const maxWindow = 4 * chunk

// maxMergedOffset is the largest offset of a ranked search over several shards.
const maxMergedOffset = 100_000

// maxOffset is beyond every list, and leaves room for arithmetic.
const maxOffset = 1 << 52

// part is one shard's share of a ranked search: its list, and what one
// MULTI saw of it.
type part struct {
	list
	shard int
	count int64 // elements within the dates
	// before is how many of these come before the first that the list gives.
	before int64
	// dead are the list's sessions that have ended but are not swept away yet,
	// the first 250 of them.
	dead map[session.ID]session.Time // by creation date
}

// start says where a part's reading begins: at a rank within the dates (one
// shard), or at a creation date (bisected).
type start struct {
	rank   int64
	byDate bool
	date   session.Time
	skip   int64 // about how many come between date and the page
}

// ranked answers a search whose driver covers it, at any offset, without
// looking at what comes before the page: totals are counts, and the page is
// taken by rank. What is counted but due is known by its card, because a
// shard's cards and list entries change together (I5): it is subtracted from
// the total and left out of the page. (I9)
func (ix *Index) ranked(ctx context.Context, q *Query, now session.Time, d *driver) (*Page, error) {
	if len(d.lists) > 1 && q.Offset > maxMergedOffset {
		return nil, &session.InvalidError{Field: "query.offset", Problem: fmt.Sprintf("must be at most %d where sessions are spread over shards", maxMergedOffset)}
	}
	parts, skip, err := ix.begin(ctx, q, now, d)
	if err != nil {
		return nil, err
	}
	page := &Page{At: now}
	for _, p := range parts {
		page.Total += uint64(max(p.count-int64(len(p.dead)), 0))
	}
	if q.Limit == 0 || q.Offset >= page.Total {
		return page, nil
	}
	next := merge(ctx, parts, q)
	for ; skip > 0; skip-- {
		if _, ok, err := next(); err != nil || !ok {
			return page, err
		}
	}
	err = ix.fill(ctx, q, now, page, nil, next)
	return page, err
}

// begin opens the parts at or a little before the page; skip is how many live
// sessions they give before it.
func (ix *Index) begin(ctx context.Context, q *Query, now session.Time, d *driver) (parts []*part, skip int64, err error) {
	offset := int64(min(q.Offset, maxOffset))
	at := start{rank: offset}
	for range 10 {
		if len(d.lists) > 1 {
			if at, err = ix.bisect(ctx, q, d); err != nil {
				return nil, 0, err
			}
		}
		if parts, err = ix.look(ctx, q, now, d, at); err != nil {
			return nil, 0, err
		}
		skip = offset
		for _, p := range parts {
			skip -= p.before - p.deadBefore(at)
		}
		if skip >= 0 {
			return parts, skip, nil
		}
		// Since the start was chosen, sessions have come in before it: choose again.
	}
	return nil, 0, fmt.Errorf("%w: a list changes faster than it can be read", session.ErrUnavailable)
}

// look reads counts, due cards and the first window of every part, one MULTI a
// shard, so that a shard's three answers belong together.
func (ix *Index) look(ctx context.Context, q *Query, now session.Time, d *driver, at start) ([]*part, error) {
	parts := make([]*part, len(d.lists))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i, key := range d.lists {
		p := &part{shard: i, list: list{rdb: ix.rdb, key: key, dates: d.dates, desc: !q.Ascending}}
		parts[i] = p
		if len(parts) == 1 {
			return parts, ix.lookAt(ctx, p, q, now, d, at)
		}
		group.Go(func() error { return ix.lookAt(groupCtx, p, q, now, d, at) })
	}
	return parts, group.Wait()
}

func (ix *Index) lookAt(ctx context.Context, p *part, q *Query, now session.Time, d *driver, at start) error {
	from := at.rank
	if !at.byDate && !p.openAtStart() {
		base, err := p.outside(ctx, ix.rdb).Result()
		if err != nil {
			return err
		}
		from += base
	}
	window := min(int64(q.Limit)+slack, maxWindow)
	if at.byDate { // the shards share the page about evenly
		window = min(2*(at.skip+int64(q.Limit))/int64(len(d.lists))+slack, chunk)
	}

	var count, before *redis.IntCmd
	var due *redis.ZSliceCmd
	var chunks []*redis.ZSliceCmd
	_, err := ix.rdb.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		count = pipe.ZCount(ctx, p.key, minScore(d.dates), maxScore(d.dates))
		due = pipe.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{Key: ix.keys.Catalogue(p.shard), Start: "-inf", Stop: Score(now), ByScore: true, Count: chunk})
		if at.byDate {
			rest := p.list
			if p.desc {
				before = pipe.ZCount(ctx, p.key, "("+Score(at.date), maxScore(d.dates))
				rest.dates.Max = at.date
			} else {
				before = pipe.ZCount(ctx, p.key, minScore(d.dates), "("+Score(at.date))
				rest.dates.Min = at.date
			}
			chunks = append(chunks, rest.first(ctx, pipe, window))
			return nil
		}
		if !p.openAtStart() {
			before = p.outside(ctx, pipe)
		}
		for done := int64(0); done < window; done += chunk {
			chunks = append(chunks, pipe.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{Key: p.key, Start: from + done, Stop: from + min(done+chunk, window) - 1, Rev: p.desc}))
		}
		return nil
	})
	if err != nil {
		return err
	}
	p.count = count.Val()
	if at.byDate {
		p.before = before.Val()
		p.filled(chunks[0].Val(), window)
	} else {
		base := int64(0)
		if before != nil {
			base = before.Val()
		}
		p.before = max(from-base, 0)
		p.window(from, base, window, chunks)
	}
	p.dead = make(map[session.ID]session.Time)
	for _, z := range due.Val() {
		c, err := UnpackCard(z.Member.(string))
		if err != nil {
			return err
		}
		if d.holds(&c) {
			p.dead[c.ID] = c.Creation
		}
	}
	return nil
}

// openAtStart is whether no element can come before those within the dates.
func (l *list) openAtStart() bool {
	if l.desc {
		return l.dates.Max == session.Never
	}
	return l.dates.Min == anyDate.Min
}

// outside counts the elements that come before those within the dates: it is
// the rank of the first of these.
func (l *list) outside(ctx context.Context, c redis.Cmdable) *redis.IntCmd {
	if l.desc {
		return c.ZCount(ctx, l.key, "("+maxScore(l.dates), "+inf")
	}
	return c.ZCount(ctx, l.key, "-inf", "("+minScore(l.dates))
}

// window takes the chunks read from rank from on. Elements before rank base are
// outside the dates: base has grown since from was chosen.
func (l *list) window(from, base, size int64, chunks []*redis.ZSliceCmd) {
	l.rank = from
	read := int64(0)
	for _, c := range chunks {
		z := c.Val()
		read += int64(len(z))
		if early := min(max(base-l.rank, 0), int64(len(z))); early > 0 {
			z = z[early:]
			l.rank += early
		}
		l.take(z, false)
	}
	l.ended = l.ended || read < size
}

// holds is whether the driver's lists hold the session of this card.
func (d *driver) holds(c *Card) bool {
	if !d.dates.Contains(c.Creation) {
		return false
	}
	switch d.kind {
	case KindUser:
		return c.UserID == d.value
	case KindAgent:
		return c.AgentID == d.value
	case KindCreator:
		return c.Creator == d.value
	}
	return true
}

// deadBefore is how many dead sessions come before what the part gives.
func (p *part) deadBefore(at start) int64 {
	n := int64(0)
	var first *entry
	if len(p.buf) > 0 {
		first = &p.buf[0]
	}
	for id, creation := range p.dead {
		switch {
		case at.byDate && p.desc:
			if creation > at.date {
				n++
			}
		case at.byDate:
			if creation < at.date {
				n++
			}
		case first == nil || p.list.before(entry{creation, string(id)}, *first):
			n++
		}
	}
	return n
}

// merge gives the live sessions of all parts in the order of q.
func merge(ctx context.Context, parts []*part, q *Query) func() (position, bool, error) {
	heads := make([]*position, len(parts))
	return func() (position, bool, error) {
		best := -1
		for i, p := range parts {
			for heads[i] == nil {
				e, ok, err := p.next(ctx)
				if err != nil {
					return position{}, false, err
				}
				if !ok {
					break
				}
				id := MemberID(e.member)
				if _, dead := p.dead[id]; !dead {
					heads[i] = &position{e.at, id}
				}
			}
			if heads[i] != nil && (best < 0 || q.compare(*heads[i], *heads[best]) < 0) {
				best = i
			}
		}
		if best < 0 {
			return position{}, false, nil
		}
		p := *heads[best]
		heads[best] = nil
		return p, true, nil
	}
}
