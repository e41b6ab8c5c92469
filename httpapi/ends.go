package httpapi

import (
	"context"
	"slices"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/httpapi/request"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/oidc"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"golang.org/x/sync/errgroup"
)

// endsAtOnce is how many ends of sessions are noted side by side.
const endsAtOnce = 32

// jwtIssuers returns the issuers whose JWTs may name sessions, nil if there are none.
func (s *Server) jwtIssuers() *oidc.Verifier {
	if issuers := s.Callers.Issuers(); issuers != nil && issuers.Bears() {
		return issuers
	}
	return nil
}

// endUnseen ends a session that a caller is to delete and that is not stored: JWTs of it may
// pass all the same. Whose session it is nobody knows, so that needs the permission for the
// instance, unless it has ended already.
func (s *Server) endUnseen(ctx context.Context, c *call, id session.ID) error {
	issuers := s.jwtIssuers()
	switch {
	case issuers == nil:
		return nil
	case c.caller.Delete.All:
		return s.endSession(ctx, issuers, id, c.acknowledged)
	case issuers.PassUnseen(id):
		ended, err := s.config.Store.Ended(ctx, &session.Login{Session: session.EndOfSession(id)})
		if err == nil && !ended {
			err = errDenied
		}
		return err
	}
	return nil
}

// endSession notes the end of a session, if JWTs may name it.
func (s *Server) endSession(ctx context.Context, issuers *oidc.Verifier, id session.ID, acknowledged func(cache.Acknowledged)) error {
	lifetime, _ := issuers.EndsFor(id)
	if lifetime == 0 {
		return nil
	}
	got, err := s.config.Store.End(ctx, session.EndOfSession(id), session.End{NotAfter: session.Never, Until: s.config.Store.Now().Add(lifetime)})
	if err == nil {
		acknowledged(got)
	}
	return err
}

// endedLogins is what a revocation ends beyond the sessions that are stored.
type endedLogins struct {
	// until is the instant up to which all logins of the user have ended, zero if it ends none.
	until session.Time
	// sessions are those with the IDs that it names, stored or not, that JWTs may name.
	sessions int
}

// endLogins notes what a revocation ends beyond the sessions that are stored: those that it
// names by their IDs, and all logins of a user, if the user is all that it asks for. A dry run
// notes nothing.
func (s *Server) endLogins(ctx context.Context, c *caller.Caller, q *request.Revoke, acknowledged func(cache.Acknowledged)) (ended endedLogins, err error) {
	issuers := s.jwtIssuers()
	if issuers == nil || len(q.Query.Predicates) == 0 {
		return ended, nil
	}
	first := &q.Query.Predicates[0]
	switch {
	case first.Kind == index.KindIDs && len(q.Query.Predicates) == 1 && c.Delete.All:
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(endsAtOnce)
		for _, id := range first.IDs() {
			if kept, _ := issuers.EndsFor(id); kept == 0 || slices.Contains(q.Except, id) {
				continue
			}
			ended.sessions++
			if !q.DryRun {
				group.Go(func() error { return s.endSession(ctx, issuers, id, acknowledged) })
			}
		}
		return ended, group.Wait() // I7
	case first.Kind == index.KindUser && len(q.Except) == 0 && onlyUser(q.Query.Predicates) && (c.Delete.All || first.Value == c.UserID):
		name, e, ok := issuers.EndOfUser(first.Value, s.config.Store.Now())
		if !ok {
			return ended, nil
		}
		ended.until = e.NotAfter
		if q.DryRun {
			return ended, nil
		}
		got, err := s.config.Store.End(ctx, name, e)
		if err == nil {
			acknowledged(got)
		}
		return ended, err
	}
	return ended, nil
}

// onlyUser says whether predicates ask for one user and for nothing else.
func onlyUser(predicates []index.Predicate) bool {
	for i := range predicates {
		if predicates[i].Kind != index.KindUser || predicates[i].Value != predicates[0].Value {
			return false
		}
	}
	return true
}
