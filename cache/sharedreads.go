package cache

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/cloakroom-dev/cloakroom/cache/near"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// reads makes round trips that concurrent callers share, for frequent reads: a *batch.Reads, or a *batch.ClusterReads.
type reads interface {
	Do(ctx context.Context, c *batch.Call) error
	Stats() batch.Stats
	Close()
}

var _ near.Keyed = (*batch.Command)(nil) // or near's guard on a Cluster would not see the keys of reads (I3)

func newReads(rdb redis.UniversalClient, queued int) reads {
	c := batch.Config{Timeout: tripTimeout, MaxQueued: queued}
	if cluster, ok := rdb.(*redis.ClusterClient); ok {
		return batch.NewClusterReads(cluster, c)
	}
	return batch.NewReads(rdb.(*redis.Client), c)
}

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

// documents reads what is stored under each ID, in a round trip that concurrent
// callers share, and gives it to take: "" where nothing is stored.
func (s *Store) documents(ctx context.Context, by reads, n int, id func(i int) session.ID, take func(i int, field string) error) error {
	call := batch.NewCall()
	defer call.Release()
	for i := range n {
		call.Add("hget", s.keys.Session(id(i)), fieldDoc)
	}
	if err := by.Do(ctx, call); err != nil {
		return err
	}
	replies := call.Replies()
	for i := range n {
		field, _, err := replies.Text()
		if err == nil {
			err = take(i, textIn(field))
		}
		if err != nil {
			return fmt.Errorf("session %s: %w", id(i), err)
		}
	}
	return nil
}

// readInto returns what is stored for each candidate, in memory that nobody keeps.
func (s *Store) readInto(ctx context.Context, m *session.Memory, candidates []index.Candidate) ([]*session.Stored, error) {
	stored, found := m.Room(len(candidates))
	now := s.clock()
	err := s.documents(ctx, s.searchReads, len(candidates), func(i int) session.ID { return candidates[i].ID }, func(i int, field string) error {
		if field == "" {
			return nil
		}
		found[i] = &stored[i]
		err := storedIn(m, field, found[i])
		found[i] = s.remembered.Pass(found[i], now)
		return err
	})
	return found, err
}

// readAll returns what is stored under each ID.
func (s *Store) readAll(ctx context.Context, by reads, ids []session.ID) ([]*session.Stored, error) {
	found, now := make([]*session.Stored, len(ids)), s.clock()
	err := s.documents(ctx, by, len(ids), func(i int) session.ID { return ids[i] }, func(i int, field string) error {
		stored, err := storedOf(field)
		found[i] = s.remembered.Pass(stored, now)
		return err
	})
	return found, err
}
