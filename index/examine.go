package index

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/zlist"
)

func compareIDs(a, b session.ID) int { return strings.Compare(string(a), string(b)) }

// compare orders positions as q asks: by creation date, then by ID.
func (q *Query) compare(a, b Candidate) int {
	c := cmp.Or(cmp.Compare(a.Creation, b.Creation), compareIDs(a.ID, b.ID))
	if q.Ascending {
		return c
	}
	return -c
}

func (q *Query) sort(sessions []*session.Stored) {
	slices.SortFunc(sessions, func(a, b *session.Stored) int {
		return q.compare(Candidate{a.Creation, a.ID}, Candidate{b.Creation, b.ID})
	})
}

// examine answers a search by looking at the document of every candidate, so
// that it is exact whatever the lists say. No candidate may come twice. (I9)
func (ix *Index) examine(ctx context.Context, q *Query, now session.Time, candidates []Candidate) (*Page, error) {
	q.Explain.examined(len(candidates))
	if len(candidates) > costly {
		q.Evidence.Other()
		return ix.examineMany(ctx, q, now, candidates)
	}
	var memory *session.Memory
	if len(candidates) <= chunk {
		memory = session.NewMemory()
	}
	var matches []*session.Stored
	for part := range slices.Chunk(candidates, chunk) {
		found, err := ix.resolve(ctx, part, How{Reads: q.mayRead(), Memory: memory, Evidence: q.Evidence, Explain: q.Explain})
		if err != nil {
			memory.Release()
			return nil, err
		}
		if len(candidates) <= chunk {
			matches = found[:0] // nobody else needs it
		}
		matches = q.matching(matches, found, now)
	}
	return q.pageOf(now, memory, matches), nil
}

// matching appends those of found that match.
func (q *Query) matching(matches, found []*session.Stored, now session.Time) []*session.Stored {
	for _, s := range found {
		if s != nil && q.Match(&s.Facts, now) {
			matches = append(matches, s)
		}
	}
	return matches
}

// pageOf returns the page of all matches, which are in memory, if that is not nil.
func (q *Query) pageOf(now session.Time, memory *session.Memory, matches []*session.Stored) *Page {
	q.sort(matches)
	page := &Page{At: now, Total: uint64(len(matches)), memory: memory}
	rest := matches[q.skipStored(matches):]
	page.Sessions = rest[:min(q.Limit, len(rest))]
	page.More = q.Cursor != nil && q.Limit > 0 && len(rest) > q.Limit
	return page
}

// examineMany does not keep the documents of all matches: it reads those of
// the page again.
func (ix *Index) examineMany(ctx context.Context, q *Query, now session.Time, candidates []Candidate) (*Page, error) {
	matches := make([]Candidate, 0, len(candidates))
	for part := range slices.Chunk(candidates, costlyChunk) {
		zlist.Yield()
		memory := session.NewMemory()
		found, err := ix.resolve(ctx, part, How{Costly: true, Reads: q.mayRead(), Memory: memory, Explain: q.Explain})
		for i, s := range found {
			if s != nil && q.Match(&s.Facts, now) {
				matches = append(matches, Candidate{s.Creation, part[i].ID}) // its own ID is in memory
			}
		}
		memory.Release()
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(matches, q.compare)
	page := &Page{At: now, Total: uint64(len(matches))}
	rest := matches[q.skip(matches):]
	if len(rest) == 0 || q.Limit == 0 {
		return page, nil
	}
	_, err := ix.fill(ctx, q, now, page, costlyChunk, func() (Candidate, bool, error) {
		if len(rest) == 0 {
			return Candidate{}, false, nil
		}
		p := rest[0]
		rest = rest[1:]
		return p, true, nil
	})
	return page, err
}

// fill resolves the page's sessions from a source in order, size at a time. One that has gone
// or changed since it was counted is left out and taken off the total, and the
// next takes its place; after MaxCandidates such ones it gives up. It returns how many
// it has resolved.
func (ix *Index) fill(ctx context.Context, q *Query, now session.Time, page *Page, size int, next func() (Candidate, bool, error)) (resolved int, err error) {
	page.Sessions = make([]*session.Stored, 0, min(q.Limit, chunk))
	taken := make(map[session.ID]bool, min(q.Limit, chunk))
	var ahead []Candidate
	gone := 0
	for ended := false; !ended && len(page.Sessions) < q.Limit; {
		want := min(size, q.Limit-len(page.Sessions))
		if gone > 0 {
			want = size // more may be gone
		}
		for ahead = ahead[:0]; len(ahead) < want && !ended; {
			p, ok, err := next()
			if err != nil {
				return resolved, err
			}
			if ended = !ok; ok {
				ahead = append(ahead, p)
			}
		}
		how := How{Costly: gone > costly, Reads: q.mayRead(), Explain: q.Explain}
		found, err := ix.resolve(ctx, ahead, how)
		if err == nil {
			err = ix.settle(ctx, q, now, ahead, found, how)
		}
		if err != nil {
			return resolved, err
		}
		resolved += len(ahead)
		for i, s := range found {
			full := len(page.Sessions) == q.Limit
			if full && (q.Cursor == nil || page.More) {
				break
			}
			switch {
			case s == nil || !q.Match(&s.Facts, now):
				gone++
				page.Total -= min(page.Total, 1)
			case taken[s.ID], q.Cursor != nil && s.Creation != ahead[i].Creation: // put with another creation date meanwhile
				gone++
			case full:
				page.More = true
			default:
				taken[s.ID] = true
				page.Sessions = append(page.Sessions, s)
			}
		}
		if gone > ix.maxCandidates {
			return resolved, fmt.Errorf("%w: too many sessions end while they are listed, try again", session.ErrUnavailable)
		}
	}
	if q.Cursor != nil && !page.More && len(page.Sessions) == q.Limit {
		_, more, err := next()
		if err != nil {
			return resolved, err
		}
		page.More = more
	}
	q.sort(page.Sessions)
	// What came in between count and page counts as before.
	if len(page.Sessions) > 0 {
		page.Total = max(page.Total, q.Offset+uint64(len(page.Sessions)))
	}
	return resolved, nil
}
