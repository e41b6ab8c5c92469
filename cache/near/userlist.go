package near

import (
	"cmp"
	"context"
	"slices"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/zlist"
	"github.com/redis/go-redis/v9"
)

// maxUserList is how many sessions of a user the near cache holds the list of.
const maxUserList = 1000

// userList is the list of a user's sessions, oldest first. One that is too long
// to be held has no candidates.
type userList struct {
	candidates []index.Candidate
	long       bool
}

// List returns the list of a user's sessions, oldest first, which it reads if need
// be; nobody may change it. ok is false if it is too long, or if copies may not be
// used now. Whether it held, the caller asks (Answer). e notes what was used.
func (n *Cache) List(ctx context.Context, user string, e *index.Evidence) (list []index.Candidate, ok bool, err error) {
	_, usable := n.begin()
	if !usable {
		return nil, false, nil
	}
	var mark index.Mark
	if e != nil {
		mark = n.lists.mark(user)
	}
	l, ok := n.lists.get(user)
	if ok {
		n.lists.count(1, 0)
		e.Note(mark, session.Never)
		return l.candidates, !l.long, nil
	}
	e.Other()
	n.lists.count(0, 1)
	l, _, err = n.lists.fetchOne(ctx, user, n.fresh.clock(), true,
		func(ctx context.Context) (*userList, error) { return n.readUserList(ctx, user) },
		func(*userList) bool { return true })
	if err != nil {
		return nil, false, err
	}
	return l.candidates, !l.long, nil
}

// readUserList reads the whole list of a user. If it is longer than one
// command may read, one MULTI reads it, so that it is of one moment however it
// grows and shrinks.
func (n *Cache) readUserList(ctx context.Context, user string) (*userList, error) {
	key := n.space.User(user)
	first := redis.NewZSliceCmd(ctx, "zrange", key, 0, zlist.Chunk-1, "withscores")
	if err := n.config.Trip(ctx, first); err != nil {
		return nil, err
	}
	members := first.Val()
	if len(members) == zlist.Chunk {
		var card *redis.IntCmd
		var chunks []*redis.ZSliceCmd
		_, err := n.config.Redis.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
			card = pipe.ZCard(ctx, key)
			for from := int64(0); from < maxUserList; from += zlist.Chunk {
				chunks = append(chunks, pipe.ZRangeWithScores(ctx, key, from, from+zlist.Chunk-1))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if card.Val() > maxUserList {
			return &userList{long: true}, nil
		}
		members = members[:0]
		for _, c := range chunks {
			members = append(members, c.Val()...)
		}
	}
	return newUserList(members), nil
}

// newUserList returns the list of these entries. A session that has two, while
// a write across shards is under way, makes it one that is not to be held.
func newUserList(members []redis.Z) *userList {
	l := &userList{candidates: make([]index.Candidate, len(members))}
	for i, m := range members {
		l.candidates[i] = index.Candidate{Creation: session.Time(m.Score), ID: index.MemberID(m.Member.(string))}
	}
	ids := slices.Clone(l.candidates)
	byID := func(a, b index.Candidate) int { return cmp.Compare(a.ID, b.ID) }
	slices.SortFunc(ids, byID)
	for i := 1; i < len(ids); i++ {
		if ids[i].ID == ids[i-1].ID {
			return &userList{long: true}
		}
	}
	return l
}
