package index

import (
	"context"
	"fmt"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/zlist"
	"github.com/redis/go-redis/v9"
)

// margin is a part of a shard's catalogue beside the expiration dates that a
// ranked search asks for: the cards of sessions that end before them, what is due
// among these, or after them. A search has one or two, and reads them from the
// end of the catalogue on.
type margin struct {
	zlist.List
	count int64
	// backlog is all of the margin, in order, read when it does not fit one MULTI.
	backlog []zlist.Entry

	counted *redis.IntCmd
	chunks  []*redis.ZSliceCmd
	size    int64
}

// margins are the expiration dates of the sessions that d's lists hold though
// they do not match.
func (d *driver) margins() []margin {
	below := margin{List: zlist.List{Range: zlist.Range{Min: anyDate.Min, Max: d.expires.Min - 1}}}
	if d.expires.Max == session.Never {
		return []margin{below}
	}
	return []margin{below, {List: zlist.List{Range: zlist.Range{Min: d.expires.Max + 1, Max: session.Never}, Desc: true}}}
}

// ask queues the counting of m and the reading of its beginning: a chunk, or as
// much as was counted before, up to MaxRead, one chunk with each command. (I10)
func (m *margin) ask(ctx context.Context, pipe redis.Pipeliner, key string) {
	m.List = zlist.List{Key: key, Range: m.Range, Desc: m.Desc}
	m.size = chunk
	if m.count > chunk {
		m.size = min(m.count+zlist.Slack, zlist.MaxRead)
	}
	m.counted = pipe.ZCount(ctx, key, session.Score(m.Range.Min), session.Score(m.Range.Max))
	m.chunks = append(m.chunks[:0], m.First(ctx, pipe, chunk))
	m.chunks = append(m.chunks, m.Chunks(ctx, pipe, chunk, m.size-chunk)...)
}

// answered takes the answers.
func (m *margin) answered() {
	m.count = m.counted.Val()
	m.FilledFrom(0, 0, m.size, m.chunks)
}

// cards returns the margin's cards as of the MULTI that asked; ok is false if what
// was read is not enough to tell.
//
// What was read before fits the MULTI if, behind what that saw, there are exactly
// as many cards as it counted, and none has come. Otherwise they are read again.
func (m *margin) cards() (cards []zlist.Entry, ok bool) {
	cards = m.Buffered()
	if n := len(cards); n > 0 && m.count > int64(n) {
		last := cards[n-1]
		for _, c := range m.backlog {
			if m.Before(last, c) {
				cards = append(cards, c)
			}
		}
	}
	return cards, m.count == int64(len(cards))
}

// readBacklog reads all of the margin, and no more than most cards of it.
func (m *margin) readBacklog(ctx context.Context, rdb redis.Cmdable, most int) error {
	l := &zlist.List{Redis: rdb, Key: m.Key, Range: m.Range, Desc: m.Desc}
	m.backlog = m.backlog[:0]
	for len(m.backlog) <= most {
		e, ok, err := l.Next(ctx)
		if err != nil || !ok {
			return err
		}
		m.backlog = append(m.backlog, e)
	}
	return nil
}

// come says whether cards have come into the margin, behind what the MULTI saw,
// since it was read: then as many may have gone in their place before the MULTI
// counted. What was read now is its backlog then.
func (m *margin) come(ctx context.Context, rdb redis.Cmdable, most int) (come bool, err error) {
	before := m.backlog
	m.backlog = nil
	if err := m.readBacklog(ctx, rdb, most); err != nil {
		return false, err
	}
	seen := m.Buffered()
	last := seen[len(seen)-1]
	for _, c := range m.backlog {
		for len(before) > 0 && m.Before(before[0], c) {
			before = before[1:]
		}
		if m.Before(last, c) && (len(before) == 0 || before[0] != c) {
			return true, nil
		}
	}
	return false, nil
}

// exclude finds what is excluded of every list: the sessions that its list counted
// though they are due, or end on a date that is not asked for. settled is false if
// what the MULTIs saw is not enough to tell, and they have to be repeated.
func (r *ranking) exclude(ctx context.Context) (settled bool, err error) {
	n, most := int64(0), r.d.mostExcluded(r.ix.maxCandidates)
	for _, p := range r.shards {
		for i := range p.margins {
			n += p.margins[i].count
		}
	}
	partial := n > int64(most)
	if partial && (r.q.Offset > 0 || len(r.d.beside) > 0) {
		// An expiry cliff. The first page of what lives, and one behind a position,
		// only have to leave out what is due; where one begins that is named by its
		// offset is not known until the sweeper is done.
		return false, fmt.Errorf("%w: %d sessions have ended and are being cleared, try again", session.ErrUnavailable, n)
	}
	if n > costly && !partial {
		if err := r.enter(ctx); err != nil {
			return false, err
		}
	}
	settled = true
	for _, p := range r.shards {
		known, err := r.excludeOf(ctx, p, partial, most)
		if err != nil {
			return false, err
		}
		// A list whose first elements all lie before the dates does not tell where the
		// excluded are, which does not matter behind a position.
		settled = settled && known && (len(p.Buffered()) > 0 || p.Ended() || r.q.goesOn())
	}
	return settled, nil
}

// excludeOf finds what is excluded of a list among the cards of its margins.
// If partial, those have too many to read them all.
func (r *ranking) excludeOf(ctx context.Context, p *shardList, partial bool, most int) (known bool, err error) {
	p.excluded, p.partial, known = make(map[session.ID]session.Time), partial, true
	for i := range p.margins {
		m := &p.margins[i]
		cards, ok := m.cards()
		if !ok && !partial {
			known = false
			if m.count > zlist.MaxRead {
				if err := m.readBacklog(ctx, r.rdb, most); err != nil {
					return false, err
				}
			}
			continue
		}
		// Among what is due none comes, because now stands still, except for a session
		// that another process puts with an expiration date that is over before the
		// put is done.
		if ok && len(cards) > len(m.Buffered()) && len(r.d.beside) > 0 {
			come, err := m.come(ctx, r.rdb, most)
			if err != nil {
				return false, err
			}
			if known = known && !come; come {
				continue
			}
		}
		for _, e := range cards {
			if c, err := UnpackCard(e.Member); err == nil && r.d.holds(&c) {
				p.excluded[c.ID] = c.Creation
			}
		}
	}
	return known, nil
}

// excludedBefore is how many of the excluded come before what the list gives.
func (p *shardList) excludedBefore(at start) int64 {
	if at.byDate {
		return p.excludedBeforeDate(at.date)
	}
	n := int64(0)
	for id, creation := range p.excluded {
		if buffered := p.Buffered(); len(buffered) == 0 || p.Before(zlist.Entry{At: creation, Member: string(id)}, buffered[0]) {
			n++
		}
	}
	return n
}

// excludedBeforeDate is how many of the excluded come before a creation date, in
// reading order.
func (p *shardList) excludedBeforeDate(date session.Time) int64 {
	n := int64(0)
	for _, creation := range p.excluded {
		if p.Desc && creation > date || !p.Desc && creation < date {
			n++
		}
	}
	return n
}
