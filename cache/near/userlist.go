package near

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/batch"
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
		func(ctx context.Context, over batch.Doer) (*userList, error) { return n.readUserList(ctx, over, user) },
		func(*userList) bool { return true })
	if err != nil {
		return nil, false, err
	}
	return l.candidates, !l.long, nil
}

// readUserList reads the whole list of a user, as it was at one moment.
func (n *Cache) readUserList(ctx context.Context, over batch.Doer, user string) (*userList, error) {
	key := n.space.User(user)
	candidates, err := readRanks(ctx, cmp.Or(over, n.config.Lists), key, 0)
	switch {
	case err != nil:
		return nil, err
	case len(candidates) < zlist.Chunk:
		return newUserList(candidates), nil
	case over == nil:
		return n.readLongList(ctx, key)
	}
	// A change since the first part is told before the last one is answered, and then the
	// caller reads again: fetchOne.
	for len(candidates)%zlist.Chunk == 0 && len(candidates) <= maxUserList {
		more, err := readRanks(ctx, over, key, len(candidates))
		if err != nil {
			return nil, err
		}
		if len(more) == 0 {
			break
		}
		candidates = append(candidates, more...)
	}
	if len(candidates) > maxUserList {
		return &userList{long: true}, nil
	}
	return newUserList(candidates), nil
}

// readLongList reads a list that is longer than one command may read in one MULTI, so that
// it is of one moment however it grows and shrinks.
func (n *Cache) readLongList(ctx context.Context, key string) (*userList, error) {
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
	var candidates []index.Candidate
	for _, c := range chunks {
		for _, m := range c.Val() {
			candidates = append(candidates, index.Candidate{Creation: session.Time(m.Score), ID: index.MemberID(m.Member.(string))})
		}
	}
	return newUserList(candidates), nil
}

// readRanks reads a chunk of a list, from a rank on.
func readRanks(ctx context.Context, over batch.Doer, key string, from int) ([]index.Candidate, error) {
	call := batch.NewCall()
	defer call.Release()
	call.Add("zrange", key, strconv.Itoa(from), strconv.Itoa(from+zlist.Chunk-1), "withscores")
	if err := over.Do(ctx, call); err != nil {
		return nil, err
	}
	replies := call.Replies()
	n, err := replies.Array()
	if err != nil {
		return nil, err
	}
	pairs := len(replies) > 0 && replies[0] == '*' // RESP3; else members and scores take turns
	if !pairs {
		n /= 2
	}
	candidates := make([]index.Candidate, n)
	for i := range candidates {
		if pairs {
			if _, err := replies.Array(); err != nil {
				return nil, err
			}
		}
		member, _, memberErr := replies.Text()
		score, _, scoreErr := replies.Text()
		creation, err := strconv.ParseFloat(string(score), 64)
		if err := cmp.Or(memberErr, scoreErr, err); err != nil {
			return nil, err
		}
		candidates[i] = index.Candidate{Creation: session.Time(creation), ID: index.MemberID(string(member))}
	}
	return candidates, nil
}

// newUserList returns the list of these entries. A session that has two, while
// a write across shards is under way, makes it one that is not to be held.
func newUserList(candidates []index.Candidate) *userList {
	ids := slices.Clone(candidates)
	byID := func(a, b index.Candidate) int { return cmp.Compare(a.ID, b.ID) }
	slices.SortFunc(ids, byID)
	for i := 1; i < len(ids); i++ {
		if ids[i].ID == ids[i-1].ID {
			return &userList{long: true}
		}
	}
	return &userList{candidates: candidates}
}
