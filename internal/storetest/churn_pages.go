package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// turn follows a search page by page, each behind the last session of the one
// before, while others write: every session that nobody touches is on exactly
// one page iff it matches, and all pages together are in order. It returns the
// number of pages. (I9)
func (c *churn) turn(ctx context.Context, rng *rand.Rand) (pages int64, err error) {
	q := c.query(rng)
	q.Limit, q.Offset, q.Cursor = []int{25, 100, 260}[rng.IntN(3)], 0, &index.Candidate{}
	seen := make(map[session.ID]bool)
	var last *session.Stored
	var first *index.Page
	for {
		p, err := c.Store.Search(ctx, q)
		if err != nil {
			return pages, fmt.Errorf("search %+v after %+v: %w", q, *q.Cursor, err)
		}
		if pages++; first == nil {
			first = p
		}
		if last, err = c.checkPart(q, p, last); err != nil {
			return pages, fmt.Errorf("Search(%+v) after %+v: %w; total %d, page %v", q, *q.Cursor, err, p.Total, pageIDs(p))
		}
		for _, s := range p.Sessions {
			seen[s.ID] = true
		}
		if p.More {
			q.Cursor = &index.Candidate{Creation: last.Creation, ID: last.ID}
			continue
		}
		for _, s := range c.stable {
			facts := s.Facts()
			if q.Match(&facts, first.At) && q.Match(&facts, p.At) && !seen[s.ID] {
				return pages, fmt.Errorf("Search(%+v): session %+v is on none of %d pages", q, facts, pages)
			}
		}
		return pages, nil
	}
}

// checkPart holds one page against what is promised of it, given the last
// session of the page before, and returns its own last one.
func (c *churn) checkPart(q *index.Query, p *index.Page, last *session.Stored) (*session.Stored, error) {
	n := uint64(0)
	for _, s := range c.stable {
		if facts := s.Facts(); q.Match(&facts, p.At) {
			n++
		}
	}
	if p.Total < n || p.Total > n+churnMoving {
		return last, fmt.Errorf("the total is not within %d and %d", n, n+churnMoving)
	}
	if len(p.Sessions) > q.Limit || uint64(len(p.Sessions)) > p.Total || p.More && len(p.Sessions) < q.Limit {
		return last, fmt.Errorf("%d sessions, more to come: %v", len(p.Sessions), p.More)
	}
	for _, s := range p.Sessions {
		if !q.Match(&s.Facts, p.At) {
			return last, fmt.Errorf("session %+v does not match", s.Facts)
		}
		if last != nil && compare(last, s, q.Ascending) >= 0 {
			return last, fmt.Errorf("session %s is out of order", s.ID)
		}
		last = s
	}
	return last, nil
}
