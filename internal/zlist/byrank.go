package zlist

import (
	"context"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// OpenAtStart is whether no element can come before those within the range.
func (l *List) OpenAtStart() bool {
	if l.Desc {
		return l.Range.Max == session.Never
	}
	return l.Range.Min == Everything.Min
}

// Outside queues the counting of the elements that come before those within the
// range: that is the rank of the first of these.
func (l *List) Outside(ctx context.Context, c redis.Cmdable) *redis.IntCmd {
	if l.Desc {
		return c.ZCount(ctx, l.Key, "("+session.Score(l.Range.Max), "+inf")
	}
	return c.ZCount(ctx, l.Key, "-inf", "("+session.Score(l.Range.Min))
}

// FilledFrom takes the size elements that Chunks read from rank from on. Elements
// before rank base are outside the range: base has grown since from was chosen.
func (l *List) FilledFrom(from, base, size int64, chunks []*redis.ZSliceCmd) {
	l.rank = from
	read := int64(0)
	for _, c := range chunks {
		z := c.Val()
		read += int64(len(z))
		if early := min(max(base-l.rank, 0), int64(len(z))); early > 0 {
			z = z[early:]
			l.rank += early
		}
		l.take(z, false)
	}
	l.ended = l.ended || read < size
}

// readFrom reads from a rank on: a chunk, or as many as are wanted, up to
// MaxRead. It is one MULTI then, so that the chunks follow each other without a
// gap. ended says that the list has no more.
func (l *List) readFrom(ctx context.Context, from int64) (z []redis.Z, ended bool, err error) {
	size := min(max(l.Wanted+Slack, Chunk), MaxRead)
	if size == Chunk {
		z, err = l.Redis.ZRangeArgsWithScores(ctx, l.byRank(from, size)).Result()
		return z, int64(len(z)) < size, err
	}
	var chunks []*redis.ZSliceCmd
	if _, err := l.Redis.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		chunks = l.Chunks(ctx, pipe, from, size)
		return nil
	}); err != nil {
		return nil, false, err
	}
	for _, c := range chunks {
		z = append(z, c.Val()...)
	}
	return z, int64(len(z)) < size, nil
}

// Chunks queues the reading of size elements from a rank on, one chunk with each
// command. (I10)
func (l *List) Chunks(ctx context.Context, pipe redis.Pipeliner, from, size int64) (chunks []*redis.ZSliceCmd) {
	for done := int64(0); done < size; done += Chunk {
		chunks = append(chunks, pipe.ZRangeArgsWithScores(ctx, l.byRank(from+done, min(Chunk, size-done))))
	}
	return chunks
}

// byRank is a range of l by ranks, in reading order.
func (l *List) byRank(from, count int64) redis.ZRangeArgs {
	return redis.ZRangeArgs{Key: l.Key, Start: from, Stop: from + count - 1, Rev: l.Desc}
}

// old is how many of z, which is in reading order, were read already.
func (l *List) old(z []redis.Z) (n int64) {
	for _, e := range z {
		if l.Before(l.last, Entry{session.TimeOfScore(e.Score), e.Member.(string)}) {
			break
		}
		n++
	}
	return n
}
