package cache

import (
	"context"
	"errors"
	"fmt"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// Get returns the session with this ID, or session.ErrNotFound. It may answer
// from the near cache, which lacks what another process has done within
// Config.NearStaleness at the most. It is for those who only read: there may be
// no Version, so what Get returns can not be replaced or deleted.
func (s *Store) Get(ctx context.Context, id session.ID) (*session.Stored, error) {
	stored, err := s.get(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.alive(stored)
}

// get returns what is held of a session, or stored, due or not; nil if nothing is.
func (s *Store) get(ctx context.Context, id session.ID) (*session.Stored, error) {
	if s.near == nil {
		return s.read(ctx, id)
	}
	epoch := s.near.epochs.now()
	if stored, ok := s.near.session(id, s.clock()); ok && s.near.holds(epoch) {
		s.near.sessions.count(1, 0)
		return stored, nil
	}
	s.near.sessions.count(0, 1)
	epoch, usable := s.near.begin()
	stored, joined, err := s.near.sessions.fetchOne(ctx, id, s.near.fresh.clock(), usable,
		func(ctx context.Context) (*session.Stored, error) { return s.readCopy(ctx, id) }, isStored)
	if joined && !s.near.holds(epoch) {
		return s.read(ctx, id)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	if !usable {
		s.near.supersede(id, stored)
	}
	return stored, nil
}

// read returns what is stored, due or not; nil if nothing is.
func (s *Store) read(ctx context.Context, id session.ID) (*session.Stored, error) {
	reply := redis.NewStringCmd(ctx, "hget", s.keys.Session(id), fieldDoc)
	if err := s.gets.Do(ctx, reply); err != nil {
		return nil, unavailable(err)
	}
	stored, err := storedOf(reply.Val())
	if err != nil {
		return nil, fmt.Errorf("%w: session %s: %w", session.ErrUnavailable, id, err)
	}
	return s.graves.pass(stored, s.clock()), nil
}

// readCopy is read for a copy that may be verified.
func (s *Store) readCopy(ctx context.Context, id session.ID) (*session.Stored, error) {
	stored, err := s.read(ctx, id)
	if stored == nil || err != nil {
		return nil, err
	}
	// Else who needs it reads it: each time, where time alone can change it.
	if proof, lasting, err := session.ProofOf(stored.Doc, s.clock()); err == nil && lasting {
		stored.Proof = &proof
	}
	return stored, nil
}

// GetFresh returns the session with this ID as Redis has it now, with its
// Version, or session.ErrNotFound. It is for those who write: Put and Delete
// act on what it returns. What Get answers afterwards is no older.
func (s *Store) GetFresh(ctx context.Context, id session.ID) (*session.Stored, error) {
	stored, err := s.readFresh(ctx, id)
	if err != nil {
		return nil, err
	}
	stored = s.graves.pass(stored, s.clock())
	s.near.supersede(id, stored)
	return s.alive(stored)
}

// alive returns stored unless it is due, or nothing. (I1)
func (s *Store) alive(stored *session.Stored) (*session.Stored, error) {
	if stored == nil || stored.Due(s.clock()) {
		return nil, session.ErrNotFound
	}
	return stored, nil
}

// resolve finds sessions for the index: copies, if those may be used, and what
// they lack in one round trip. Whether they held all the while, Search asks.
func (s *Store) resolve(ctx context.Context, candidates []index.Candidate, how index.How) ([]*session.Stored, error) {
	found := make([]*session.Stored, len(candidates))
	trip := s.searches.Do
	if how.Costly {
		trip = s.costlyTrip(how.Reads)
	}
	read := func(ctx context.Context, ids []session.ID) ([]*session.Stored, error) {
		return s.readAll(ctx, trip, ids)
	}
	_, usable := s.near.begin()
	usable = usable && how.Reads.Copies()
	var missing []session.ID
	now := s.clock()
	for i := range candidates {
		id := candidates[i].ID
		if usable {
			var ok bool
			if found[i], ok = s.near.session(id, now); ok {
				continue
			}
		}
		if missing == nil {
			missing = make([]session.ID, 0, len(candidates)-i)
		}
		missing = append(missing, id)
	}
	if s.near != nil && how.Reads.Copies() {
		s.near.sessions.count(len(candidates)-len(missing), len(missing))
	}
	if len(missing) == 0 {
		return found, nil
	}
	var got []*session.Stored
	var err error
	if usable && !how.Costly { // what a costly search reads would drive out what is asked for often
		got, err = s.near.sessions.fetch(ctx, missing, s.near.fresh.clock(), true, read, isStored)
	} else {
		got, err = read(ctx, missing)
	}
	if err != nil {
		return nil, err
	}
	// missing is a part of candidates, in their order.
	next := 0
	for i := range candidates {
		if next < len(missing) && candidates[i].ID == missing[next] {
			found[i] = got[next]
			next++
		}
	}
	return found, nil
}

// costlyTrip returns what makes a round trip of its own, over connections of
// costly searches, to replicas if those may be read.
func (s *Store) costlyTrip(reads index.Reads) trip {
	rdb := s.costly
	if reads.Replicas() {
		rdb = s.replicas
	}
	return func(ctx context.Context, cmds ...redis.Cmder) error {
		pipe := rdb.Pipeline()
		_ = pipe.BatchProcess(ctx, cmds...) // only takes them
		if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		return nil
	}
}
