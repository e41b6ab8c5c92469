package index

import (
	"context"
	"fmt"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// bury finds the dead of every part: the sessions that its list counted though
// they are due. settled is false if what the MULTIs saw is not enough to tell,
// and they have to be repeated.
func (r *ranking) bury(ctx context.Context) (settled bool, err error) {
	dues := int64(0)
	for _, p := range r.parts {
		dues += p.dues
	}
	partial := dues > int64(r.ix.maxCandidates)
	if partial && r.q.Offset > 0 {
		// An expiry cliff. The first page, and one behind a position, only have to
		// leave out what is dead; where one begins that is named by its offset is
		// not known until the sweeper is done.
		return false, fmt.Errorf("%w: %d sessions have ended and are being cleared, try again", session.ErrUnavailable, dues)
	}
	if dues > costly && !partial {
		if err := r.enter(ctx); err != nil {
			return false, err
		}
	}
	settled = true
	for _, p := range r.parts {
		known, err := r.buryPart(ctx, p, partial)
		if err != nil {
			return false, err
		}
		// A window that lies before the dates altogether says nothing of where
		// the dead are, which does not matter behind a position.
		settled = settled && known && (len(p.buf) > 0 || p.ended || r.q.goesOn())
	}
	return settled, nil
}

// buryPart finds the dead of a part among the shard's due cards. More than a
// chunk of these have to be read separately, while sweepers remove them from
// their beginning. What was read before fits the MULTI if, behind the chunk
// that it saw, there are exactly as many cards as it counted: now stands still,
// so that none becomes due later, but for a session that another process puts
// with an expiration date that is over before the put is done. Otherwise they
// are read again.
func (r *ranking) buryPart(ctx context.Context, p *part, partial bool) (known bool, err error) {
	cards := make([]entry, len(p.due))
	for i := range p.due {
		cards[i] = entry{timeOfScore(p.due[i].Score), p.due[i].Member.(string)}
	}
	p.dead, p.partial = make(map[session.ID]session.Time), partial
	if p.dues > int64(len(cards)) && !partial {
		last := cards[len(cards)-1]
		for _, c := range p.backlog {
			if last.compare(c) < 0 {
				cards = append(cards, c)
			}
		}
		if p.dues != int64(len(cards)) {
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
	if at.byDate {
		return p.deadBeforeDate(at.date)
	}
	n := int64(0)
	for id, creation := range p.dead {
		if len(p.buf) == 0 || p.list.before(entry{creation, string(id)}, p.buf[0]) {
			n++
		}
	}
	return n
}

// deadBeforeDate is how many dead sessions come before a creation date, in
// reading order.
func (p *part) deadBeforeDate(date session.Time) int64 {
	n := int64(0)
	for _, creation := range p.dead {
		if p.desc && creation > date || !p.desc && creation < date {
			n++
		}
	}
	return n
}
