// Package zlist reads Redis' sorted sets of sessions in order, and gives what
// stays in one exactly once, however it changes meanwhile. (I9) Look here when a
// search, the sweeper or an audit misses an element, or gives one twice.
//
// A List reads on its own: Next, or NextChunk. Where the beginning must belong
// together with counts, the caller queues it in a MULTI of its own (First, or
// Outside and Chunks, or First and ProbeRank), and hands the answers over (Filled,
// FilledFrom, FilledBehind); the List goes on from there.
//
// No command touches more than Chunk elements. (I10) Nothing here is written.
package zlist

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// Entry is one element of a sorted set: a session by creation date, or a card
// by expiration date.
type Entry struct {
	// At is the score; session.Never for all from 2255 on.
	At     session.Time
	Member string
}

// Range is a closed interval of scores. It is empty if Min > Max. Max =
// session.Never has no end; Everything has no beginning either.
type Range struct {
	Min, Max session.Time
}

// Everything is the range that all scores are in.
var Everything = Range{math.MinInt64, session.Never}

func (e Entry) compare(f Entry) int {
	return cmp.Or(cmp.Compare(e.At, f.At), cmp.Compare(e.Member, f.Member))
}

// List reads the elements of a sorted set within a range, in order, in chunks.
// Its exported fields are set before it reads. It is for one goroutine.
//
// It goes on after the last element that it gave, by score and member, however
// the set has changed meanwhile: an element that stays in the set all the
// while is given exactly once. (I9) Ranks only tell it where to look.
type List struct {
	// Redis is what it reads from. What callers queue needs none.
	Redis redis.Cmdable
	Key   string
	Range Range
	// Desc reads from the highest score on.
	Desc bool
	// Wanted is about how many elements are still to be given, so that several
	// chunks are read at once; 0 if that is not known. It counts down.
	Wanted int64

	buf     []Entry // read, but not given yet
	last    Entry   // the last one read
	started bool
	ended   bool
	rank    int64 // about the rank, in reading order, of the element after last
}

// ErrTooFast says that a list changes faster than it can be read. It is a
// session.ErrUnavailable: a later try may succeed.
var ErrTooFast = fmt.Errorf("%w: a list changes faster than it can be read", session.ErrUnavailable)

const (
	// Chunk is the most elements that one read command touches. (I10)
	Chunk = 250
	// MaxRead is the most elements that one round trip reads, in commands of one
	// chunk each.
	MaxRead = 4 * Chunk
	// Slack is how far a rank may have moved before it has to be asked for again:
	// a read of n elements takes so many more.
	Slack = 25
	// pivots is how many ranks one round trip tries.
	pivots = 7
)

// First queues the reading of the first size elements, a chunk at the most.
func (l *List) First(ctx context.Context, pipe redis.Pipeliner, size int64) *redis.ZSliceCmd {
	return pipe.ZRangeArgsWithScores(ctx, l.byScore(0, size))
}

// Filled takes what First read, from a rank on, or from an unknown one, -1.
func (l *List) Filled(rank int64, z []redis.Z, size int64) {
	l.rank = rank
	l.take(z, int64(len(z)) < size)
}

// byScore is a range of l by scores.
func (l *List) byScore(offset, count int64) redis.ZRangeArgs {
	a := redis.ZRangeArgs{Key: l.Key, Start: session.Score(l.Range.Min), Stop: session.Score(l.Range.Max), ByScore: true, Rev: l.Desc, Offset: offset, Count: count}
	if l.Desc { // go-redis takes Start for the high end then
		a.Start, a.Stop = a.Stop, a.Start
	}
	return a
}

// take adds what was read, as far as it is new and within the range.
func (l *List) take(z []redis.Z, ended bool) {
	for i := range z {
		e := Entry{session.TimeOfScore(z[i].Score), z[i].Member.(string)}
		if l.started && !l.Before(l.last, e) {
			continue
		}
		if l.rank >= 0 {
			l.rank++
		}
		if !l.inside(e.At) {
			ended = true
			break
		}
		l.buf = append(l.buf, e)
		l.last, l.started = e, true
	}
	l.ended = l.ended || ended
}

// inside is whether a score is within the range; those from 2255 on have one score.
func (l *List) inside(t session.Time) bool {
	return t >= min(l.Range.Min, session.MaxScore) && (t <= l.Range.Max || l.Range.Max >= session.MaxScore)
}

// Before is whether e comes before f in reading order.
func (l *List) Before(e, f Entry) bool {
	if l.Desc {
		e, f = f, e
	}
	return e.compare(f) < 0
}

// Behind makes the list go on after an element, which need not be there.
func (l *List) Behind(e Entry) { l.last, l.started = e, true }

// Buffered returns the elements that were read, and not given yet. They are
// valid until the list gives or reads any.
func (l *List) Buffered() []Entry { return l.buf }

// Ended says that there are no more elements behind those that are buffered.
func (l *List) Ended() bool { return l.ended }

// Moved makes the list ask where to go on, because its ranks have changed: the
// caller removes elements. Without it, it finds that out by reading in vain.
func (l *List) Moved() { l.rank = -1 }

// NextChunk gives all elements that are buffered, else those that it reads
// then; none at the end. They are valid until the list is read again.
func (l *List) NextChunk(ctx context.Context) ([]Entry, error) {
	for len(l.buf) == 0 && !l.ended {
		if err := l.more(ctx); err != nil {
			return nil, err
		}
	}
	given := l.buf
	l.buf = l.buf[:0]
	return given, nil
}

// Next gives the next element; ok is false at the end.
func (l *List) Next(ctx context.Context) (e Entry, ok bool, err error) {
	for len(l.buf) == 0 {
		if l.ended {
			return Entry{}, false, nil
		}
		if err := l.more(ctx); err != nil {
			return Entry{}, false, err
		}
	}
	e, l.buf = l.buf[0], l.buf[1:]
	l.Wanted = max(l.Wanted-1, 0)
	return e, true, nil
}

// more reads the chunk after l.last, or several if so many are wanted. It looks at the ranks from a little
// before where that should be: if what it sees begins at or before last,
// everything after last in it follows last without a gap. Otherwise elements
// before it have gone in such number that it asks for the rank again.
func (l *List) more(ctx context.Context) error {
	Yield()
	if !l.started {
		z, err := l.Redis.ZRangeArgsWithScores(ctx, l.byScore(0, Chunk)).Result()
		if err != nil {
			return err
		}
		l.Filled(-1, z, Chunk)
		return nil
	}
	for range 100 {
		if l.rank < 0 {
			if err := l.findRank(ctx); err != nil {
				return err
			}
		}
		from := max(l.rank-Slack, 0)
		z, ended, err := l.readFrom(ctx, from)
		if err != nil {
			return err
		}
		contiguous := from == 0
		if len(z) > 0 {
			contiguous = contiguous || !l.Before(l.last, Entry{session.TimeOfScore(z[0].Score), z[0].Member.(string)})
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
	return ErrTooFast
}

// findRank finds where to go on: behind last if it is still where it was, else
// where the elements with its score begin.
func (l *List) findRank(ctx context.Context) error {
	pipe := l.Redis.Pipeline()
	at := l.ProbeRank(ctx, pipe, l.last.At)
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	l.rank = at.behindLast()
	return nil
}

// searchRank finds where to go on, from a rank on, if last is gone and many
// elements have its score: it tries ranks until a chunk is left.
func (l *List) searchRank(ctx context.Context, from int64) error {
	to, err := l.Redis.ZCard(ctx, l.Key).Result()
	if err != nil {
		return err
	}
	for to-from > Chunk {
		pipe := l.Redis.Pipeline()
		var tried [pivots]*redis.ZSliceCmd
		rank := func(i int) int64 { return from + (to-from)*int64(i+1)/(pivots+1) }
		for i := range tried {
			tried[i] = pipe.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{Key: l.Key, Start: rank(i), Stop: rank(i), Rev: l.Desc})
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
		old := 0
		for old < pivots {
			z := tried[old].Val()
			if len(z) == 0 || l.Before(l.last, Entry{session.TimeOfScore(z[0].Score), z[0].Member.(string)}) {
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
