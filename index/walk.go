package index

import (
	"context"
	"slices"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/zlist"
)

// Met is a part of a walk: candidates of one list, at most 250.
type Met struct {
	Candidates []Candidate
	// elsewhere says that an earlier list of the walk holds a session too.
	elsewhere func(*session.Facts) bool
}

// First says whether the session of candidate c, as it is stored now, is met
// here for the first time. A walk meets a session again if it is in several of
// the walk's lists, or in one of them twice after a write was cut off.
func (m *Met) First(c Candidate, s *session.Facts) bool {
	known := c.Creation == 0 || c.Creation == s.Creation
	return known && (m.elsewhere == nil || !m.elsewhere(s))
}

// Walk shows visit every session that q may match, in parts, whatever their
// number; who wants to know for sure reads their documents and asks
// Query.Match, and Met.First. q's order and page do not matter. Its cost is that
// of its cheapest predicate: elements read, 250 at a time.
//
// A session that q matches from beginning to end is met, whatever visit or
// others delete or create; those that are created meanwhile do not prolong the
// walk. But a session that changes the date by which the walk goes, while it
// goes, may be met twice or not at all: its expiration date, if q has a
// predicate of that kind, else its creation date. Walk returns visit's error, Redis'
// or the context's.
func (ix *Index) Walk(ctx context.Context, q *Query, now session.Time, visit func(context.Context, *Met) error) error {
	n, ok := narrow(q, now)
	own := q.Sees.ownOnly()
	if !ok || (own && q.Sees.UserID == "" && q.Sees.AgentID == "") {
		return nil
	}
	d, err := ix.cheapest(ctx, ix.drivers(q, &n), now)
	if err != nil {
		return err
	}
	if d.kind == KindIDs {
		for ids := range slices.Chunk(d.ids, chunk) {
			if err := visit(ctx, &Met{Candidates: candidatesOf(ids)}); err != nil {
				return err
			}
		}
		return nil
	}
	for i, key := range d.lists {
		// The newest first: what is created meanwhile is behind.
		l := &zlist.List{Redis: ix.costlyRdb, Key: key, Range: zlist.Range(d.dates), Desc: true}
		var elsewhere func(*session.Facts) bool
		if d.repeats > 1 {
			elsewhere = ix.ownElsewhere(&q.Sees, i)
		}
		if err := walkList(ctx, l, q, d.cards, func(ctx context.Context, part []Candidate) error {
			return visit(ctx, &Met{part, elsewhere})
		}); err != nil {
			return err
		}
	}
	return nil
}

// ownElsewhere says what the lists before the i-th of ownLists hold: first the
// user's, then those that it created, shard by shard, at last the agent's.
func (ix *Index) ownElsewhere(c *Sees, i int) func(*session.Facts) bool {
	return func(s *session.Facts) bool {
		switch {
		case c.UserID == "" || i == 0:
			return false
		case i <= ix.keys.Shards():
			return s.UserID == c.UserID
		}
		return s.UserID == c.UserID || s.Creator == c.UserID
	}
}

// walkList gives the candidates of l part by part. The elements of a part may be
// gone when the next one is read. Cards that can not match are left out.
func walkList(ctx context.Context, l *zlist.List, q *Query, cards bool, visit func(context.Context, []Candidate) error) error {
	var part []Candidate
	var last Candidate
	for {
		l.Moved() // by visit
		read, err := l.NextChunk(ctx)
		if err != nil || len(read) == 0 {
			return err
		}
		part = part[:0]
		for _, e := range read {
			c := Candidate{e.At, MemberID(e.Member)}
			if cards {
				card, err := UnpackCard(e.Member)
				if err != nil {
					continue // a card that can not be read is no session's
				}
				if facts := card.Facts(e.At); !q.maybe(&facts) {
					continue
				}
				c = Candidate{card.Creation, card.ID}
			}
			if c != last { // with several shards, entries of two versions stand side by side
				part = append(part, c)
			}
			last = c
		}
		if len(part) == 0 {
			continue
		}
		if err := visit(ctx, part); err != nil {
			return err
		}
	}
}
