package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"golang.org/x/sync/errgroup"
)

const (
	// revokesAtOnce is how many deletes of a revocation share a round trip, so
	// that other writes do not wait long behind them.
	revokesAtOnce = 32
	// revokeTries is how often a revocation reads a session again that changes
	// between its reading and its deletion.
	revokeTries = 10
	// revokePasses is how often a revocation by expiration date walks at most.
	revokePasses = 3
)

// Revocation says which sessions to delete. Query is required.
type Revocation struct {
	// Query matches what is deleted, by its Predicates and Sees; order and page
	// do not matter.
	Query *index.Query
	// May says whether a session that matches may be deleted; one that may not
	// is left alone and not counted. nil: all may.
	May func(*session.Facts) bool
	// Except are sessions that stay.
	Except []session.ID
	// DryRun counts what would be deleted, and deletes nothing.
	DryRun bool
	// Reason is as in Delete.
	Reason string
	// Progress is told now and then how many have been deleted so far, or
	// counted; nil is told nothing. It is called by Revoke's goroutine.
	Progress func(revoked uint64)
	// Replicated is told of each deletion how many replicas have it; nil is told
	// nothing. It is called from several goroutines at a time.
	Replicated func(Acknowledged)
}

// Revoke deletes every session that matches when the call begins and still
// does, however many these are, as Delete would, and says how many it deleted;
// those that others delete meanwhile are not among them. Sessions created
// meanwhile may be deleted or not. What is about to be deleted is read again if
// it has changed, and stays if it does not match any more.
//
// It reads and deletes at most 250 at a time, and needs no more memory than
// that takes. After an error, which wraps session.ErrUnavailable, it says how
// many it has deleted so far; to call it again is to go on. A delete whose
// outcome is not known is not among them. A session that cannot be read keeps
// no other from being revoked, but may match: it is an error at the end.
//
// A dry run may count a session whose dates change meanwhile twice, or not; one
// that cannot be read it does not count.
func (s *Store) Revoke(ctx context.Context, r Revocation) (revoked uint64, err error) {
	w := revoking{Revocation: r, store: s, except: make(map[session.ID]struct{}, len(r.Except))}
	for _, id := range r.Except {
		w.except[id] = struct{}{}
	}
	// A session whose expiration date changes may move out of the walk's way.
	// There is hardly anything left for the second walk to find.
	passes := 1
	if !r.DryRun && slices.ContainsFunc(r.Query.Predicates, func(p index.Predicate) bool { return p.Kind == index.KindExpiration }) {
		passes = revokePasses
	}
	for range passes {
		before := w.revoked.Load()
		if err := s.index.Walk(ctx, r.Query, s.clock(), w.visit); err != nil {
			return w.revoked.Load(), unavailable(err)
		}
		if w.revoked.Load() == before {
			break
		}
	}
	if w.unreadable != nil && !w.DryRun {
		return w.revoked.Load(), unavailable(w.unreadable)
	}
	return w.revoked.Load(), nil
}

// revoking is a Revocation under way.
type revoking struct {
	Revocation
	store   *Store
	except  map[session.ID]struct{}
	revoked atomic.Uint64
	// unreadable is about one of those that cannot be read, nil if all can.
	unreadable error
}

// visit deletes, or counts, those of a part that match and may be deleted.
func (w *revoking) visit(ctx context.Context, chunk *index.WalkChunk) error {
	left := make([]index.Candidate, 0, len(chunk.Candidates))
	for _, c := range chunk.Candidates {
		if _, stays := w.except[c.ID]; !stays {
			left = append(left, c)
		}
	}
	for try := 0; len(left) > 0; try++ {
		if try == revokeTries {
			return fmt.Errorf("session %s changes faster than it can be revoked", left[0].ID)
		}
		found, err := w.read(ctx, chunk, left)
		if err != nil {
			return err
		}
		if w.DryRun {
			w.revoked.Add(uint64(len(found)))
			break
		}
		if left, err = w.delete(ctx, found); err != nil {
			return err
		}
	}
	if w.Progress != nil {
		w.Progress(w.revoked.Load())
	}
	return nil
}

// read returns those of the candidates, as they are stored now, that are to be
// deleted.
func (w *revoking) read(ctx context.Context, chunk *index.WalkChunk, candidates []index.Candidate) ([]*session.Stored, error) {
	ids := make([]session.ID, len(candidates))
	for i, c := range candidates {
		ids[i] = c.ID
	}
	stored, unreadable, err := readAllFresh(ctx, w.store.costly, w.store.keys, ids)
	if err != nil {
		return nil, err
	}
	w.unreadable = cmp.Or(w.unreadable, unreadable)
	found, now := stored[:0], w.store.clock()
	for i, s := range stored {
		s = w.store.remembered.Pass(s, now)
		switch {
		case s == nil || !w.Query.Match(&s.Facts, now) || w.May != nil && !w.May(&s.Facts):
		case w.DryRun && !chunk.First(candidates[i], &s.Facts):
		default:
			found = append(found, s)
		}
	}
	return found, nil
}

// delete deletes these versions side by side, so that they share round trips.
// It returns those that have been replaced since they were read. What has been
// sent when ctx ends, or another one fails, is waited for, so that it counts.
func (w *revoking) delete(ctx context.Context, versions []*session.Stored) (replaced []index.Candidate, err error) {
	going, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var group errgroup.Group
	group.SetLimit(revokesAtOnce)
	conflicts := make([]bool, len(versions))
	for i, old := range versions {
		group.Go(func() error {
			if going.Err() != nil {
				return nil // told below
			}
			switch gone, err := w.store.Delete(context.WithoutCancel(ctx), old, w.Reason); {
			case err == nil:
				w.revoked.Add(1)
				if w.Replicated != nil {
					w.Replicated(gone.Acknowledged)
				}
			case errors.Is(err, session.ErrConflict):
				conflicts[i] = true
			case !errors.Is(err, session.ErrNotFound): // else somebody else was faster
				stop(err)
			}
			return nil
		})
	}
	_ = group.Wait() // I7
	if going.Err() != nil {
		return nil, context.Cause(going)
	}
	for i, conflict := range conflicts {
		if conflict {
			replaced = append(replaced, index.Candidate{ID: versions[i].ID})
		}
	}
	return replaced, nil
}

// Walk shows visit what is stored of every session that q matches, with its version, at most 250 at a time: as
// index.Walk, and so some perhaps twice. What cannot be read is left out. It returns visit's error as it is.
func (s *Store) Walk(ctx context.Context, q *index.Query, visit func(context.Context, []*session.Stored) error) error {
	var stopped error
	err := s.index.Walk(ctx, q, s.clock(), func(ctx context.Context, chunk *index.WalkChunk) error {
		ids := make([]session.ID, len(chunk.Candidates))
		for i, c := range chunk.Candidates {
			ids[i] = c.ID
		}
		stored, _, err := readAllFresh(ctx, s.costly, s.keys, ids)
		if err != nil {
			return err
		}
		found, now := stored[:0], s.clock()
		for _, kept := range stored {
			if kept = s.remembered.Pass(kept, now); kept != nil && q.Match(&kept.Facts, now) {
				found = append(found, kept)
			}
		}
		stopped = visit(ctx, found)
		return stopped
	})
	if stopped != nil {
		return stopped
	}
	if err != nil {
		return unavailable(err)
	}
	return nil
}
