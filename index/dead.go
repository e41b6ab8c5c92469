package index

import (
	"context"
	"fmt"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// bury finds the dead of a part: the sessions that its list counted though
// they are due. first is the beginning of the shard's due cards, dues how many
// there were, both seen in the MULTI that counted the list.
//
// More than a chunk of them have to be read separately, while sweepers remove
// them from their beginning. What was read before fits the MULTI if, behind the
// chunk that it saw, it has exactly as many cards as the MULTI counted: a card
// that is due never becomes so later, since now stands still. Otherwise they
// are read again, and settled is false: the MULTI has to be repeated.
func (r *ranking) bury(ctx context.Context, p *part, first []redis.Z, dues int64) (settled bool, err error) {
	p.dead, p.partial = make(map[session.ID]session.Time), false
	cards := make([]entry, len(first))
	for i := range first {
		cards[i] = entry{timeOfScore(first[i].Score), first[i].Member.(string)}
	}
	switch {
	case dues <= int64(len(first)):
	case dues > int64(r.ix.maxCandidates):
		// An expiry cliff. The first page only has to leave out what is dead;
		// where a later one begins is not known until the sweeper is done.
		if r.q.Offset > 0 {
			return false, fmt.Errorf("%w: %d sessions have ended and are being cleared, try again", session.ErrUnavailable, dues)
		}
		p.partial = true
	default:
		last := cards[len(cards)-1]
		for _, c := range p.backlog {
			if last.compare(c) < 0 {
				cards = append(cards, c)
			}
		}
		if dues != int64(len(cards)) {
			return false, r.readBacklog(ctx, p)
		}
	}
	for _, e := range cards {
		if c, err := UnpackCard(e.member); err == nil && r.d.holds(&c) {
			p.dead[c.ID] = c.Creation
		}
	}
	return true, nil
}

// readBacklog reads all due cards of a part's shard.
func (r *ranking) readBacklog(ctx context.Context, p *part) error {
	l := &list{rdb: r.rdb, key: r.ix.keys.Catalogue(p.shard), dates: Dates{anyDate.Min, r.now}}
	p.backlog = p.backlog[:0]
	for len(p.backlog) <= r.ix.maxCandidates {
		e, ok, err := l.next(ctx)
		if err != nil || !ok {
			return err
		}
		p.backlog = append(p.backlog, e)
	}
	return nil
}

// deadBefore is how many dead sessions come before what the part gives.
func (p *part) deadBefore(at start) int64 {
	n := int64(0)
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
		case len(p.buf) == 0 || p.list.before(entry{creation, string(id)}, p.buf[0]):
			n++
		}
	}
	return n
}
