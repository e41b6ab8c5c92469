package index

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

func compareIDs(a, b session.ID) int { return strings.Compare(string(a), string(b)) }

// compare orders positions as q asks: by creation date, then by ID.
func (q *Query) compare(a, b position) int {
	c := cmp.Or(cmp.Compare(a.creation, b.creation), compareIDs(a.id, b.id))
	if q.Ascending {
		return c
	}
	return -c
}

// examine answers a search by looking at the document of every candidate, so
// that it is exact whatever the lists say. No candidate may come twice. (I9)
func (ix *Index) examine(ctx context.Context, q *Query, now session.Time, candidates []position) (*Page, error) {
	matches := make([]position, 0, len(candidates))
	// The documents of few candidates are kept for the page; of many, those of
	// the page are read again.
	many := len(candidates) > costly
	var kept map[session.ID]*session.Stored
	if !many {
		kept = make(map[session.ID]*session.Stored, len(candidates))
	}
	ids := make([]session.ID, 0, min(len(candidates), chunk))
	for part := range slices.Chunk(candidates, chunk) {
		ids = ids[:0]
		for i := range part {
			ids = append(ids, part[i].id)
		}
		found, err := ix.resolve(ctx, ids, many)
		if err != nil {
			return nil, err
		}
		for _, s := range found {
			if s == nil || !q.Match(&s.Facts, now) {
				continue
			}
			matches = append(matches, position{s.Creation, s.ID})
			if !many {
				kept[s.ID] = s
			}
		}
	}
	slices.SortFunc(matches, q.compare)
	page := &Page{At: now, Total: uint64(len(matches))}
	if q.Offset >= uint64(len(matches)) || q.Limit == 0 {
		return page, nil
	}
	rest := matches[q.Offset:]
	err := ix.fill(ctx, q, now, page, kept, func() (position, bool, error) {
		if len(rest) == 0 {
			return position{}, false, nil
		}
		p := rest[0]
		rest = rest[1:]
		return p, true, nil
	})
	return page, err
}

// fill resolves the page's sessions from a source in order. One that has gone
// or changed since it was counted is left out and taken off the total, and the
// next takes its place.
func (ix *Index) fill(ctx context.Context, q *Query, now session.Time, page *Page, kept map[session.ID]*session.Stored, next func() (position, bool, error)) error {
	page.Sessions = make([]*session.Stored, 0, min(q.Limit, chunk))
	var ids []session.ID
	for ended := false; !ended && len(page.Sessions) < q.Limit; {
		ids = ids[:0]
		for want := min(chunk, q.Limit-len(page.Sessions)); len(ids) < want; {
			p, ok, err := next()
			if err != nil {
				return err
			}
			if !ok {
				ended = true
				break
			}
			ids = append(ids, p.id)
		}
		found := make([]*session.Stored, len(ids))
		if kept != nil {
			for i, id := range ids {
				found[i] = kept[id]
			}
		} else if len(ids) > 0 {
			var err error
			if found, err = ix.resolve(ctx, ids, false); err != nil {
				return err
			}
		}
		for _, s := range found {
			if s != nil && q.Match(&s.Facts, now) {
				page.Sessions = append(page.Sessions, s)
			} else if page.Total > 0 {
				page.Total--
			}
		}
	}
	if kept == nil {
		settle(q, page)
	}
	// What came in between count and page counts as before.
	if len(page.Sessions) > 0 {
		page.Total = max(page.Total, q.Offset+uint64(len(page.Sessions)))
	}
	return nil
}

// settle puts a page in order whose documents were read after its list: a
// session that was put with another creation date meanwhile may stand
// elsewhere now, and may have been met twice.
func settle(q *Query, page *Page) {
	met := make(map[session.ID]bool, len(page.Sessions))
	page.Sessions = slices.DeleteFunc(page.Sessions, func(s *session.Stored) bool {
		again := met[s.ID]
		met[s.ID] = true
		if again && page.Total > 0 {
			page.Total--
		}
		return again
	})
	slices.SortFunc(page.Sessions, func(a, b *session.Stored) int {
		return q.compare(position{a.Creation, a.ID}, position{b.Creation, b.ID})
	})
}
