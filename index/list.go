package index

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// entry is one element of a sorted set: a session by creation date, or a card
// by expiration date.
type entry struct {
	at     session.Time
	member string
}

func (e entry) compare(f entry) int {
	return cmp.Or(cmp.Compare(e.at, f.at), cmp.Compare(e.member, f.member))
}

// list reads the elements of a sorted set within dates, in order, in chunks.
//
// It goes on after the last element that it gave, by score and member, however
// the set has changed meanwhile: an element that stays in the set all the
// while is given exactly once. (I9) Ranks only tell it where to look.
type list struct {
	rdb   redis.Cmdable
	key   string
	dates Dates
	desc  bool

	buf     []entry // read, but not given yet
	last    entry   // the last one read
	started bool
	ended   bool
	rank    int64 // about the rank, in reading order, of the element after last
	wanted  int64 // about how many are still to be given; 0 if that is not known
}

var errTooFast = fmt.Errorf("%w: a list changes faster than it can be read", session.ErrUnavailable)

// slack is how far a rank may have moved before it has to be asked for again.
const slack = 25

// first queues the reading of the first elements, a chunk at the most.
func (l *list) first(ctx context.Context, pipe redis.Pipeliner, size int64) *redis.ZSliceCmd {
	return pipe.ZRangeArgsWithScores(ctx, l.byScore(0, size))
}

// filled takes the first elements, from a rank, or from an unknown one, -1.
func (l *list) filled(rank int64, z []redis.Z, size int64) {
	l.rank = rank
	l.take(z, int64(len(z)) < size)
}

// byScore is a range of l by its dates.
func (l *list) byScore(offset, count int64) redis.ZRangeArgs {
	a := redis.ZRangeArgs{Key: l.key, Start: minScore(l.dates), Stop: maxScore(l.dates), ByScore: true, Rev: l.desc, Offset: offset, Count: count}
	if l.desc { // go-redis takes Start for the high end then
		a.Start, a.Stop = a.Stop, a.Start
	}
	return a
}

func minScore(d Dates) string { return Score(d.Min) }

func maxScore(d Dates) string { return Score(d.Max) }

// take adds what was read, as far as it is new and within the dates.
func (l *list) take(z []redis.Z, ended bool) {
	for i := range z {
		e := entry{timeOfScore(z[i].Score), z[i].Member.(string)}
		if l.started && !l.before(l.last, e) {
			continue
		}
		if l.rank >= 0 {
			l.rank++
		}
		if !l.inside(e.at) {
			ended = true
			break
		}
		l.buf = append(l.buf, e)
		l.last, l.started = e, true
	}
	l.ended = l.ended || ended
}

// inside is whether a score is within the dates; those from 2255 on have one score.
func (l *list) inside(t session.Time) bool {
	return t >= min(l.dates.Min, session.MaxScore) && (t <= l.dates.Max || l.dates.Max >= session.MaxScore)
}

// before is whether e comes before f in reading order.
func (l *list) before(e, f entry) bool {
	if l.desc {
		e, f = f, e
	}
	return e.compare(f) < 0
}

// next gives the next element; ok is false at the end.
func (l *list) next(ctx context.Context) (e entry, ok bool, err error) {
	for len(l.buf) == 0 {
		if l.ended {
			return entry{}, false, nil
		}
		if err := l.more(ctx); err != nil {
			return entry{}, false, err
		}
	}
	e, l.buf = l.buf[0], l.buf[1:]
	l.wanted = max(l.wanted-1, 0)
	return e, true, nil
}

// more reads the chunk after l.last, or several if so many are wanted. It looks at the ranks from a little
// before where that should be: if what it sees begins at or before last,
// everything after last in it follows last without a gap. Otherwise elements
// before it have gone in such number that it asks for the rank again.
func (l *list) more(ctx context.Context) error {
	giveWay()
	if !l.started {
		z, err := l.rdb.ZRangeArgsWithScores(ctx, l.byScore(0, chunk)).Result()
		if err != nil {
			return err
		}
		l.filled(-1, z, chunk)
		return nil
	}
	for range 100 {
		if l.rank < 0 {
			if err := l.findRank(ctx); err != nil {
				return err
			}
		}
		from := max(l.rank-slack, 0)
		z, ended, err := l.readFrom(ctx, from)
		if err != nil {
			return err
		}
		contiguous := from == 0
		if len(z) > 0 {
			contiguous = contiguous || !l.before(l.last, entry{timeOfScore(z[0].Score), z[0].Member.(string)})
		}
		if !contiguous {
			l.rank = -1
			continue
		}
		known := len(l.buf)
		skipped := l.old(z)
		l.rank = from + skipped
		l.take(z[skipped:], ended)
		if len(l.buf) == known && !l.ended { // all of it was old: last is further on
			if err := l.searchRank(ctx, from+int64(len(z))); err != nil {
				return err
			}
			continue
		}
		return nil
	}
	return errTooFast
}

// findRank finds where to go on: behind last if it is still where it was, else
// where the elements with its score begin.
func (l *list) findRank(ctx context.Context) error {
	pipe := l.rdb.Pipeline()
	at := l.askFooting(ctx, pipe, l.last.at)
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	l.rank = at.behindLast()
	return nil
}

// searchRank finds where to go on, from a rank on, if last is gone and many
// elements have its score: it tries ranks until a chunk is left.
func (l *list) searchRank(ctx context.Context, from int64) error {
	to, err := l.rdb.ZCard(ctx, l.key).Result()
	if err != nil {
		return err
	}
	for to-from > chunk {
		pipe := l.rdb.Pipeline()
		var tried [pivots]*redis.ZSliceCmd
		rank := func(i int) int64 { return from + (to-from)*int64(i+1)/(pivots+1) }
		for i := range tried {
			tried[i] = pipe.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{Key: l.key, Start: rank(i), Stop: rank(i), Rev: l.desc})
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
		old := 0
		for old < pivots {
			z := tried[old].Val()
			if len(z) == 0 || l.before(l.last, entry{timeOfScore(z[0].Score), z[0].Member.(string)}) {
				break
			}
			old++
		}
		low, high := from, to
		if old > 0 {
			low = rank(old - 1)
		}
		if old < pivots {
			high = rank(old)
		}
		from, to = low, high
	}
	l.rank = from
	return nil
}
