package cache

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/cloakroom-dev/cloakroom/cache/near"
	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/resp"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// reads makes round trips that concurrent callers share, for frequent reads: a *batch.Reads, or a *batch.ClusterReads.
type reads interface {
	batch.Doer
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

// trips makes round trips that concurrent callers share: a *batch.Batcher, or a
// *batch.Cluster, which has one for each master.
type trips interface {
	Do(ctx context.Context, cmds ...redis.Cmder) error
	Stats() batch.Stats
	Close()
}

// queued is how many commands may wait; 0 is the default. Callers
// beyond that are refused.
func newTrips(rdb redis.UniversalClient, queued int) trips {
	c := batch.Config{Timeout: tripTimeout, MaxQueued: queued}
	if cluster, ok := rdb.(*redis.ClusterClient); ok {
		return batch.NewCluster(cluster, c)
	}
	return batch.New(rdb, c)
}

// readLists is the index' Lists. The members are in memory, too.
func (s *Store) readLists(ctx context.Context, lists []string, least, most string, limit int, ids []session.ID, m *session.Memory) (members []string, whole bool, read []*session.Stored, err error) {
	call := batch.NewCall()
	defer call.Release()
	for _, key := range lists {
		call.Add("zrange", key, least, most, "byscore", "limit", "0", strconv.Itoa(limit))
	}
	id := func(i int) session.ID { return ids[i] }
	replies, err := s.ask(ctx, s.searchReads, call, len(ids), id)
	if err != nil {
		return nil, false, nil, err
	}
	for range lists {
		n, err := replies.Array()
		if err != nil {
			return nil, false, nil, err
		}
		if n == limit {
			return nil, false, nil, nil
		}
		members = slices.Grow(members, n)
		for range n {
			member, _, err := replies.Text()
			if err != nil {
				return nil, false, nil, err
			}
			m.Bytes = append(m.Bytes, member...)
			members = append(members, textIn(m.Bytes[len(m.Bytes)-len(member):]))
		}
	}
	read, err = s.takeInto(&replies, m, len(ids), id)
	return members, err == nil, read, err
}

// ask has the documents of sessions read, in a round trip that concurrent callers share.
func (s *Store) ask(ctx context.Context, by batch.Doer, call *batch.Call, n int, id func(i int) session.ID) (resp.Replies, error) {
	for i := range n {
		call.Add("hget", s.keys.Session(id(i)), fieldDoc)
	}
	if err := by.Do(ctx, call); err != nil {
		return nil, err
	}
	return call.Replies(), nil
}

// readInto returns what is stored under each of n IDs, in memory that nobody keeps.
func (s *Store) readInto(ctx context.Context, by batch.Doer, m *session.Memory, n int, id func(i int) session.ID) ([]*session.Stored, error) {
	call := batch.NewCall()
	defer call.Release()
	replies, err := s.ask(ctx, by, call, n, id)
	if err != nil {
		return nil, err
	}
	return s.takeInto(&replies, m, n, id)
}

// takeInto takes n documents from replies, into memory that nobody keeps.
func (s *Store) takeInto(replies *resp.Replies, m *session.Memory, n int, id func(i int) session.ID) ([]*session.Stored, error) {
	stored, found := m.Room(n)
	now := s.clock()
	for i := range n {
		field, _, err := replies.Text()
		if err == nil && len(field) > 0 {
			if err = storedIn(m, textIn(field), &stored[i]); err == nil {
				found[i] = s.remembered.Pass(&stored[i], now)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("session %s: %w", id(i), err)
		}
	}
	return found, nil
}

// readAll returns what is stored under each ID.
func (s *Store) readAll(ctx context.Context, by batch.Doer, ids []session.ID) ([]*session.Stored, error) {
	call := batch.NewCall()
	defer call.Release()
	replies, err := s.ask(ctx, by, call, len(ids), func(i int) session.ID { return ids[i] })
	if err != nil {
		return nil, err
	}
	found, now := make([]*session.Stored, len(ids)), s.clock()
	for i, id := range ids {
		field, _, err := replies.Text()
		if err == nil {
			found[i], err = storedOf(textIn(field))
		}
		if err != nil {
			return nil, fmt.Errorf("session %s: %w", id, err)
		}
		found[i] = s.remembered.Pass(found[i], now)
	}
	return found, nil
}
