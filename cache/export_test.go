package cache

import (
	"context"
	"errors"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache/near"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// StartNear runs the near cache, and nothing else, until stop is called. It
// returns when copies may be used. stop says if they were not used all the while.
func (s *Store) StartNear() (stop func() error, err error) {
	news := make(chan struct{}, 1)
	s.near.Hook(near.Hooks{Saw: func(near.Event) {
		select {
		case news <- struct{}{}:
		default:
		}
	}})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.near.Run(ctx) }()
	stop = func() error {
		lost := s.NearStats().LinksLost
		cancel()
		err := <-ended
		if lost > 0 {
			err = errors.Join(err, errors.New("the connection for invalidations was lost"))
		}
		return err
	}
	patience := time.NewTimer(time.Minute)
	defer patience.Stop()
	for {
		if _, usable := s.near.Begin(); usable {
			return stop, nil
		}
		select {
		case <-news:
		case <-patience.C:
			return nil, errors.Join(errors.New("the near cache is not usable: "+s.NearStats().State), stop())
		}
	}
}

// WaitForReplicas has deletions wait so long for replicas, which may be longer than a Config allows. It must be called before
// the first of them.
func (s *Store) WaitForReplicas(d time.Duration) { s.acks.timeout = d }

// StoredOf unpacks what a session's hash holds in its field doc.
func StoredOf(field string) (*session.Stored, error) { return storedOf(field) }

// RedeleteReturned looks for deleted sessions that have come back, and deletes them again.
func (s *Store) RedeleteReturned(ctx context.Context) error {
	return s.remembered.Look(ctx, s.redeletion())
}

// RemoveUnused looks once for copies that nobody uses.
func (s *Store) RemoveUnused(ctx context.Context) error { return s.removeUnused(ctx) }

// TripCount counts round trips.
type TripCount struct{ trips *tripCount }

// CountTrips counts the round trips of a client from now on, on a Cluster those to each node that it
// is told of from now on.
func CountTrips(rdb redis.UniversalClient) *TripCount {
	trips := new(tripCount)
	if c, ok := rdb.(*redis.ClusterClient); ok {
		c.OnNewNode(func(node *redis.Client) { node.AddHook(trips) })
	} else {
		rdb.AddHook(trips)
	}
	return &TripCount{trips}
}

// Load returns how many there were.
func (c *TripCount) Load() int64 {
	if c == nil {
		return 0
	}
	return c.trips.n.Load()
}
