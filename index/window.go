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
