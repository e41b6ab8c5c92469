package near

import (
	"context"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// session returns the copy of a session, nil if it is known not to be. ok is
// false if Redis has to be asked. A copy that is due is not used: the session
// may have been prolonged. (I1)
func (n *Cache) session(id session.ID, now session.Time) (stored *session.Stored, ok bool) {
	if stored, ok = n.sessions.get(id); ok && !stored.Due(now) {
		return stored, true
	}
	return nil, n.sessions.missing(id, n.fresh.clock().add(-n.fresh.bound))
}

// Session returns what is held of a session, or what Config.Read finds, due or not;
// nil if there is none. Its errors are those of Read and of ctx.
func (n *Cache) Session(ctx context.Context, id session.ID) (*session.Stored, error) {
	epoch := n.epochs.now()
	if stored, ok := n.session(id, n.config.Clock()); ok && n.holds(epoch) {
		n.sessions.count(1, 0)
		return stored, nil
	}
	n.sessions.count(0, 1)
	epoch, usable := n.begin()
	var stored *session.Stored
	var err error
	again := !usable && n.source.byKey // what a link answers would not hold
	if !again && n.source.probes() {
		switch stored, err = n.config.Read(ctx, nil, id); {
		case err != nil:
			return nil, err
		case stored == nil:
			n.Supersede(id, nil)
			return nil, nil
		}
	}
	if !again {
		var copied bool
		stored, copied, err = n.sessions.fetchOne(ctx, id, n.fresh.clock(), usable, func(ctx context.Context, over batch.Doer) (*session.Stored, error) {
			return n.config.Read(ctx, over, id)
		}, isStored)
		if err == nil && stored == nil {
			n.source.foundNothing()
		}
		again = copied && !n.holds(epoch)
	}
	if again {
		stored, err = n.config.Read(ctx, nil, id)
	}
	if err != nil {
		return nil, err
	}
	if again || !usable {
		n.Supersede(id, stored)
	}
	return stored, nil
}

// Copy returns the copy of a session if that has this token, without asking Redis.
// ok is false if no copy may be used, or it has another token.
func (n *Cache) Copy(id session.ID, token string) (stored *session.Stored, ok bool) {
	return n.copyOf(id, func(stored *session.Stored) bool { return stored.Token.Matches(token) })
}

// Held returns the copy of a session, as Copy does, whatever token it has.
func (n *Cache) Held(id session.ID) (stored *session.Stored, ok bool) {
	return n.copyOf(id, isStored)
}

func (n *Cache) copyOf(id session.ID, wanted func(*session.Stored) bool) (stored *session.Stored, ok bool) {
	epoch := n.epochs.now()
	stored, ok = n.session(id, n.config.Clock())
	if !ok || stored == nil || !wanted(stored) || !n.holds(epoch) {
		return nil, false
	}
	n.sessions.count(1, 0)
	return stored, true
}

// Sessions finds sessions in the order of the candidates, nil where there is none:
// copies, if those may be used, and what they lack by read, in one call. keep says
// that what was read may be held. Whether the copies held all the while, the caller
// asks (Answer). e notes what was used; copies is how many were found so.
func (n *Cache) Sessions(ctx context.Context, candidates []index.Candidate, keep bool, e *index.Evidence, read func(ctx context.Context, over batch.Doer, ids []session.ID) ([]*session.Stored, error)) (found []*session.Stored, copies int, err error) {
	found = make([]*session.Stored, len(candidates))
	_, usable := n.begin()
	var missing []session.ID
	now := n.config.Clock()
	for i := range candidates {
		id := candidates[i].ID
		if usable {
			var mark index.Mark
			if e != nil {
				mark = n.sessions.mark(id)
			}
			var ok bool
			if found[i], ok = n.session(id, now); ok {
				if found[i] == nil { // for a while
					e.Other()
				} else {
					e.Note(mark, found[i].Expiration)
				}
				continue
			}
		}
		if missing == nil {
			missing = make([]session.ID, 0, len(candidates)-i)
		}
		missing = append(missing, id)
	}
	copies = len(candidates) - len(missing)
	n.sessions.count(copies, len(missing))
	if len(missing) == 0 {
		return found, copies, nil
	}
	e.Other()
	var got []*session.Stored
	if usable && keep {
		got, err = n.sessions.fetch(ctx, missing, n.fresh.clock(), read, isStored)
	} else {
		got, err = read(ctx, nil, missing)
		for _, id := range missing { // no page is to answer what is older
			n.sessions.changed(id)
		}
	}
	if err != nil {
		return nil, copies, err
	}
	// missing is a part of candidates, in their order.
	next := 0
	for i := range candidates {
		if next < len(missing) && candidates[i].ID == missing[next] {
			found[i] = got[next]
			next++
		}
	}
	return found, copies, nil
}
