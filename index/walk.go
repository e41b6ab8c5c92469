package index

import (
	"context"
	"slices"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/zlist"
)

// WalkChunk is what a walk shows at once: candidates of one list, at most 250.
type WalkChunk struct {
	Candidates []Candidate
	// elsewhere says that an earlier list of the walk holds a session too.
	elsewhere func(*session.Facts) bool
}

// First says whether the walk shows the session of candidate c, as it is stored
// now, for the first time. It shows a session again if that is in several of the
// walk's lists, or twice in one of them after a write was cut off.
func (w *WalkChunk) First(c Candidate, s *session.Facts) bool {
	known := c.Creation == 0 || c.Creation == s.Creation
	return known && (w.elsewhere == nil || !w.elsewhere(s))
}

// Walk shows visit every session that q may match, chunk by chunk, however many
// there are. To be sure, visit reads their documents and asks Query.Match and
// WalkChunk.First. q's order and page do not matter. The cost is that of the
// cheapest predicate: elements read, 250 at a time.
//
// A session that q matches from beginning to end is shown, whatever visit or
// others delete or create; those that are created meanwhile do not prolong the
// walk. But a session may be shown twice or not at all if the date by which the
// walk is ordered changes during the walk: its expiration date, if q has a
// predicate of that kind, else its creation date. Walk returns visit's error, Redis'
// or the context's.
func (ix *Index) Walk(ctx context.Context, q *Query, now session.Time, visit func(context.Context, *WalkChunk) error) error {
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
			if err := visit(ctx, &WalkChunk{Candidates: candidatesOf(ids)}); err != nil {
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
		if err := walkList(ctx, l, q, d.cards, func(ctx context.Context, candidates []Candidate) error {
			return visit(ctx, &WalkChunk{candidates, elsewhere})
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

// walkList gives the candidates of l chunk by chunk. The elements of a chunk may be
// gone when the next one is read. Cards that cannot match are left out.
func walkList(ctx context.Context, l *zlist.List, q *Query, cards bool, visit func(context.Context, []Candidate) error) error {
	var candidates []Candidate
	var last Candidate
	for {
		l.Moved() // by visit
		read, err := l.NextChunk(ctx)
		if err != nil || len(read) == 0 {
			return err
		}
		candidates = candidates[:0]
		for _, e := range read {
			c := Candidate{e.At, MemberID(e.Member)}
			if cards {
				card, err := UnpackCard(e.Member)
				if err != nil {
					continue // a card that cannot be read belongs to no session
				}
				if facts := card.Facts(e.At); !q.maybe(&facts) {
					continue
				}
				c = Candidate{card.Creation, card.ID}
			}
			if c != last { // with several shards, entries of two versions stand side by side
				candidates = append(candidates, c)
			}
			last = c
		}
		if len(candidates) == 0 {
			continue
		}
		if err := visit(ctx, candidates); err != nil {
			return err
		}
	}
}
