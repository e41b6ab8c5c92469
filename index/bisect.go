package index

import (
	"context"
	"slices"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/zlist"
	"github.com/redis/go-redis/v9"
)

// pivots is how many dates one round trip of a bisection tries.
const pivots = 7

// bisect finds a creation date with at most q.Offset sessions of all shards
// before it, in the order of q, and hardly fewer.
func (r *ranking) bisect(ctx context.Context) (start, error) {
	q, d := r.q, r.d
	offset := int64(q.Offset)
	at := start{byDate: true, date: d.dates.Max, skip: offset}
	if q.Ascending {
		at.date = d.dates.Min
	}
	if offset <= chunk {
		return at, nil
	}
	from, to, err := r.span(ctx)
	if err != nil || from > to { // nothing is within the dates
		return at, err
	}
	if !q.Ascending {
		from, to = to, from
	}
	// Invariant: at most q.Offset come before from. Dates between from and to
	// are tried until what remains to skip is small, or one instant is left.
	for distance(from, to) > 1 && at.skip > chunk {
		dates := make([]session.Time, 0, pivots)
		for i := range session.Time(pivots) {
			dates = append(dates, from+(to-from)/(pivots+1)*(i+1)+(to-from)%(pivots+1)*(i+1)/(pivots+1))
		}
		dates = slices.Compact(dates)
		before, err := r.countBefore(ctx, dates)
		if err != nil {
			return start{}, err
		}
		for i, date := range dates {
			if before[i] > offset {
				to = date
				break
			}
			from, at.skip = date, offset-before[i]
		}
	}
	at.date = from
	return at, nil
}

func distance(a, b session.Time) session.Time { return max(a-b, b-a) }

// span returns the creation dates between which the driver's sessions lie, the
// first above the second if there are none.
func (r *ranking) span(ctx context.Context) (from, to session.Time, err error) {
	pipe := r.rdb.Pipeline()
	ends := make([]*redis.ZSliceCmd, 0, 2*len(r.d.lists))
	for _, key := range r.d.lists {
		l := zlist.List{Key: key, Range: zlist.Range(r.d.dates)}
		ends = append(ends, l.First(ctx, pipe, 1))
		l.Desc = true
		ends = append(ends, l.First(ctx, pipe, 1))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return 0, 0, err
	}
	from, to = session.Never, anyDate.Min
	for _, e := range ends {
		for _, z := range e.Val() {
			from = min(from, session.TimeOfScore(z.Score))
			to = max(to, session.TimeOfScore(z.Score))
		}
	}
	return from, to, nil
}

// countBefore counts, over all shards, what comes before each date, without
// the excluded that are known.
func (r *ranking) countBefore(ctx context.Context, dates []session.Time) ([]int64, error) {
	pipe := r.rdb.Pipeline()
	counts := make([]*redis.IntCmd, 0, len(r.d.lists)*len(dates))
	for _, key := range r.d.lists {
		for _, date := range dates {
			if r.q.Ascending {
				counts = append(counts, pipe.ZCount(ctx, key, minScore(r.d.dates), "("+session.Score(date)))
			} else {
				counts = append(counts, pipe.ZCount(ctx, key, "("+session.Score(date), maxScore(r.d.dates)))
			}
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	before := make([]int64, len(dates))
	for i, c := range counts {
		before[i%len(dates)] += c.Val() - r.shards[i/len(dates)].excludedBeforeDate(dates[i%len(dates)])
	}
	return before, nil
}
