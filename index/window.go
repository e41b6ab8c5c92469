package index

import (
	"context"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// openAtStart is whether no element can come before those within the dates.
func (l *list) openAtStart() bool {
	if l.desc {
		return l.dates.Max == session.Never
	}
	return l.dates.Min == anyDate.Min
}

// outside counts the elements that come before those within the dates: it is
// the rank of the first of these.
func (l *list) outside(ctx context.Context, c redis.Cmdable) *redis.IntCmd {
	if l.desc {
		return c.ZCount(ctx, l.key, "("+maxScore(l.dates), "+inf")
	}
	return c.ZCount(ctx, l.key, "-inf", "("+minScore(l.dates))
}

// window takes the chunks read from rank from on. Elements before rank base are
// outside the dates: base has grown since from was chosen.
func (l *list) window(from, base, size int64, chunks []*redis.ZSliceCmd) {
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
// maxWindow. It is one MULTI then, so that the chunks follow each other without a
// gap. ended says that the list has no more.
func (l *list) readFrom(ctx context.Context, from int64) (z []redis.Z, ended bool, err error) {
	size := min(max(l.wanted+slack, chunk), maxWindow)
	if size == chunk {
		z, err = l.rdb.ZRangeArgsWithScores(ctx, l.byRank(from, size)).Result()
		return z, int64(len(z)) < size, err
	}
	var chunks []*redis.ZSliceCmd
	if _, err := l.rdb.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		chunks = l.chunks(ctx, pipe, from, size)
		return nil
	}); err != nil {
		return nil, false, err
	}
	for _, c := range chunks {
		z = append(z, c.Val()...)
	}
	return z, int64(len(z)) < size, nil
}

// chunks queues the reading of size elements from a rank on, one chunk with each
// command. (I10)
func (l *list) chunks(ctx context.Context, pipe redis.Pipeliner, from, size int64) (chunks []*redis.ZSliceCmd) {
	for done := int64(0); done < size; done += chunk {
		chunks = append(chunks, pipe.ZRangeArgsWithScores(ctx, l.byRank(from+done, min(chunk, size-done))))
	}
	return chunks
}

// byRank is a range of l by ranks, in reading order.
func (l *list) byRank(from, count int64) redis.ZRangeArgs {
	return redis.ZRangeArgs{Key: l.key, Start: from, Stop: from + count - 1, Rev: l.desc}
}

// old is how many of z, which is in reading order, were read already.
func (l *list) old(z []redis.Z) (n int64) {
	for _, e := range z {
		if l.before(l.last, entry{timeOfScore(e.Score), e.Member.(string)}) {
			break
		}
		n++
	}
	return n
}
