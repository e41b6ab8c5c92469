package zlist

import (
	"context"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// RankProbe is made of the questions for the rank behind a list's last element, as one
// pipeline or MULTI asks them.
type RankProbe struct{ before, same, rank *redis.IntCmd }

// ProbeRank queues the questions. date is where the reading goes on: that of the
// last element, or a later one in reading order. The last of its commands
// answers redis.Nil if the last element is gone.
func (l *List) ProbeRank(ctx context.Context, pipe redis.Pipeliner, date session.Time) RankProbe {
	at := session.Score(date)
	p := RankProbe{before: redis.NewIntCmd(ctx)}
	if !l.Desc {
		p.before = pipe.ZCount(ctx, l.Key, "-inf", "("+at)
	} else if at != "+inf" { // which miniredis counts among what is above it
		p.before = pipe.ZCount(ctx, l.Key, "("+at, "+inf")
	}
	p.same = pipe.ZCount(ctx, l.Key, at, at)
	if l.Desc {
		p.rank = pipe.ZRevRank(ctx, l.Key, l.last.Member)
	} else {
		p.rank = pipe.ZRank(ctx, l.Key, l.last.Member)
	}
	return p
}

// behindLast is the rank behind the last element if it is still where it was,
// else where the elements with the date begin.
func (p RankProbe) behindLast() int64 {
	before := p.before.Val()
	if r := p.rank.Val(); p.rank.Err() == nil && before <= r && r < before+p.same.Val() {
		return r + 1
	}
	return before
}

// FilledBehind takes the first elements from the date of at on, which First read
// in one MULTI with it. Those that are not behind the last element are passed over.
func (l *List) FilledBehind(z []redis.Z, size int64, at RankProbe) {
	old := l.old(z)
	l.rank = max(at.before.Val()+old, at.behindLast())
	l.take(z[old:], int64(len(z)) < size)
}
