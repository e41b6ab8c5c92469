package index

import (
	"context"
	"slices"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/zlist"
)

// goesOn says that the page begins behind a session, not at the beginning.
func (q *Query) goesOn() bool { return q.Cursor != nil && q.Cursor.ID != "" }

// side is where a match is: above zero behind q.Cursor, below on an earlier page.
func (q *Query) side(c Candidate) int {
	if !q.goesOn() || q.compare(c, *q.Cursor) > 0 {
		return 1
	}
	return -1
}

// skip is how many of all matches, in order, come before the page.
func (q *Query) skip(matches []Candidate) int {
	if q.Cursor == nil {
		return int(min(q.Offset, uint64(len(matches))))
	}
	n, _ := slices.BinarySearchFunc(matches, q, func(c Candidate, q *Query) int { return q.side(c) })
	return n
}

// skipStored is skip for what is stored of the matches.
func (q *Query) skipStored(matches []*session.Stored) int {
	if q.Cursor == nil {
		return int(min(q.Offset, uint64(len(matches))))
	}
	n, _ := slices.BinarySearchFunc(matches, q, func(s *session.Stored, q *Query) int { return q.side(Candidate{s.Creation, s.ID}) })
	return n
}

// beginBehind opens the lists behind q.Cursor: each reads from the first element
// with that creation date on, and its list passes over what is not behind, as it
// goes on anywhere. Neither ranks nor the excluded before it matter. (I9)
func (r *ranking) beginBehind(ctx context.Context) error {
	// The date may be outside the dates: nobody vouches for a position.
	at := start{byDate: true, behind: true, date: min(r.q.Cursor.Creation, r.d.dates.Max)}
	if r.q.Ascending {
		at.date = max(r.q.Cursor.Creation, r.d.dates.Min)
	}
	for range looks {
		if settled, err := r.look(ctx, at); settled || err != nil {
			return err
		}
	}
	return zlist.ErrTooFast
}

// settle reads those sessions again, past all copies, of which copies say that
// they are not there, do not match, or are elsewhere in the order than their list
// has them. One that still is elsewhere has just been put with another creation
// date: to show it would take the next page elsewhere. At most what is ahead, a
// chunk, is read. A copy that is behind can still leave a session out where the
// candidates come from copies, too, or are examined before they are paged.
func (ix *Index) settle(ctx context.Context, q *Query, now session.Time, ahead []Candidate, found []*session.Stored, how How) error {
	if q.Cursor == nil || how.Reads == ReadMasters {
		return nil
	}
	var again []Candidate
	var positions []int
	for i, s := range found {
		if s == nil || s.Creation != ahead[i].Creation || !q.Match(&s.Facts, now) {
			again, positions = append(again, ahead[i]), append(positions, i)
		}
	}
	if len(again) == 0 {
		return nil
	}
	how.Reads = ReadMasters
	fresh, err := ix.resolve(ctx, again, how)
	if err != nil {
		return err
	}
	for i, at := range positions {
		found[at] = fresh[i]
	}
	return nil
}
