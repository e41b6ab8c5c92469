package cache

import (
	"context"
	"slices"
	"strconv"

	"github.com/cloakroom-dev/cloakroom/internal/batch"
)

// readLists is the index' Lists.
func (s *Store) readLists(ctx context.Context, lists []string, least, most string, limit int) (members []string, whole bool, err error) {
	call := batch.NewCall()
	defer call.Release()
	for _, key := range lists {
		call.Add("zrange", key, least, most, "byscore", "limit", "0", strconv.Itoa(limit))
	}
	if err := s.searchReads.Do(ctx, call); err != nil {
		return nil, false, err
	}
	replies := slices.Clone(call.Replies()) // one piece of memory for all members
	for range lists {
		n, err := replies.Array()
		if err != nil {
			return nil, false, err
		}
		if n == limit {
			return nil, false, nil
		}
		members = slices.Grow(members, n)
		for range n {
			member, _, err := replies.Text()
			if err != nil {
				return nil, false, err
			}
			members = append(members, textIn(member))
		}
	}
	return members, true, nil
}
