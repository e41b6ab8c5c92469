package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// Get returns the session with this ID, or session.ErrNotFound. It may answer
// from the near cache, which lacks what another process has done within
// Config.NearStaleness at the most. It is for reading only: there may be no
// Version, so what Get returns cannot be replaced or deleted. With Config.Upstream it is what
// that says: also a session that has ended, which is not in the store.
func (s *Store) Get(ctx context.Context, id session.ID) (*session.Stored, error) {
	if s.upstream != nil {
		return s.current(ctx, id, "", true)
	}
	stored, err := s.get(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.alive(stored)
}

// get returns what is held of a session, or stored, due or not; nil if nothing is.
func (s *Store) get(ctx context.Context, id session.ID) (*session.Stored, error) {
	if s.near == nil {
		return s.read(ctx, s.gets, id)
	}
	stored, err := s.near.Session(ctx, id)
	if err != nil {
		return nil, unavailable(err)
	}
	return stored, nil
}

// read returns what is stored, due or not; nil if nothing is.
func (s *Store) read(ctx context.Context, over batch.Doer, id session.ID) (*session.Stored, error) {
	call := batch.NewCall()
	defer call.Release()
	call.Add("hget", s.keys.Session(id), fieldDoc)
	if err := over.Do(ctx, call); err != nil {
		return nil, unavailable(err)
	}
	replies := call.Replies()
	field, _, err := replies.Text()
	if err != nil {
		return nil, unavailable(err)
	}
	stored, err := storedOf(textIn(field))
	if err != nil {
		return nil, fmt.Errorf("%w: session %s: %w", session.ErrUnavailable, id, err)
	}
	return s.remembered.Pass(stored, s.clock()), nil
}

// readCopy is read for a copy that may be verified, over what the near cache says.
func (s *Store) readCopy(ctx context.Context, over batch.Doer, id session.ID) (*session.Stored, error) {
	stored, err := s.read(ctx, cmp.Or(over, batch.Doer(s.gets)), id)
	if stored == nil || err != nil {
		return nil, err
	}
	// Without it, each verify reads the document: time alone can change the proof.
	if proof, lasting, err := session.ProofOf(stored.Doc, s.clock()); err == nil && lasting {
		stored.Proof = &proof
	}
	return stored, nil
}

// GetFresh returns the session with this ID as Redis has it now, with its
// Version, or session.ErrNotFound. It is for writers: Put and Delete
// act on what it returns. What Get answers afterwards is no older.
func (s *Store) GetFresh(ctx context.Context, id session.ID) (*session.Stored, error) {
	stored, err := s.readFresh(ctx, id)
	if err != nil {
		return nil, err
	}
	stored = s.remembered.Pass(stored, s.clock())
	s.near.Supersede(id, stored)
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
func (s *Store) resolve(ctx context.Context, candidates []index.Candidate, how index.How) (found []*session.Stored, err error) {
	if len(candidates) == 0 {
		return nil, nil
	}
	by := s.searchReads
	if how.Costly {
		by = s.costlyReads
	}
	fromReplicas := how.Costly && how.Reads.Replicas() && s.replicas != nil
	read := func(ctx context.Context, over batch.Doer, ids []session.ID) ([]*session.Stored, error) {
		switch {
		case fromReplicas:
			return s.readReplicas(ctx, ids)
		case how.Memory != nil && how.Costly: // so that near keeps none of them
			return s.readInto(ctx, by, how.Memory, len(ids), func(i int) session.ID { return ids[i] })
		}
		return s.readAll(ctx, cmp.Or(over, batch.Doer(by)), ids)
	}
	copies := 0
	switch {
	case s.near != nil && how.Reads.Copies():
		// What a costly search reads would drive out what is asked for often.
		found, copies, err = s.near.Sessions(ctx, candidates, !how.Costly, how.Evidence, read)
	case how.Memory != nil && !fromReplicas:
		found, err = s.readInto(ctx, by, how.Memory, len(candidates), func(i int) session.ID { return candidates[i].ID })
	default:
		ids := make([]session.ID, len(candidates))
		for i := range candidates {
			ids[i] = candidates[i].ID
		}
		found, err = read(ctx, nil, ids)
	}
	if fromReplicas {
		how.Explain.Read(copies, 0, len(candidates)-copies)
	} else {
		how.Explain.Read(copies, len(candidates)-copies, 0)
	}
	return found, err
}

// readReplicas is readAll in a round trip of its own, from replicas.
func (s *Store) readReplicas(ctx context.Context, ids []session.ID) ([]*session.Stored, error) {
	pipe := s.replicas.Pipeline()
	replies := make([]*redis.StringCmd, len(ids))
	for i, id := range ids {
		replies[i] = pipe.HGet(ctx, s.keys.Session(id), fieldDoc)
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, err
	}
	found, now := make([]*session.Stored, len(ids)), s.clock()
	for i, reply := range replies {
		if err := reply.Err(); err != nil && !errors.Is(err, redis.Nil) { // I2
			return nil, err
		}
		stored, err := storedOf(reply.Val())
		if err != nil {
			return nil, fmt.Errorf("session %s: %w", ids[i], err)
		}
		found[i] = s.remembered.Pass(stored, now)
	}
	return found, nil
}
