package httpapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/cloakroom-dev/cloakroom/httpapi/request"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

func decodeCreate(c *call) (*request.Changes, error) { return request.DecodeCreate(c.body) }

// createSession answers CreateSession.
func (s *Server) createSession(ctx context.Context, c *call, q *request.Changes) error {
	if !c.caller.Write.All {
		return errDenied
	}
	if err := q.Possible(); err != nil {
		return err
	}
	lifetime := q.Lifetime
	if lifetime == 0 {
		lifetime = s.config.DefaultLifetime
	}
	// An ID of ours may be taken: the write tells, and another one is made.
	a := newAttempts(ctx)
	for a.next() {
		now := s.config.Store.Now()
		next := &session.Session{
			ID: session.NewID(now), CreationDate: now, ChangeDate: now, Sequence: 1,
			UserAgent: q.Agent, Creator: c.caller.UserID,
		}
		var err error
		if next.ExpirationDate, err = q.Expiration(now, lifetime, s.config.MaxLifetime); err != nil {
			return err
		}
		if err := q.Apply(next, now); err != nil {
			return err
		}
		if err := next.Validate(s.config.MaxSessionBytes); err != nil {
			return err
		}
		var token string
		token, next.Token = session.NewToken(next.ID)
		err = s.config.Store.Put(ctx, next, nil)
		if errors.Is(err, session.ErrConflict) || errors.Is(err, session.ErrDeleted) {
			continue
		}
		if err != nil {
			return err
		}
		c.session = next.ID
		c.writeDetails(s.config.InstanceID, details{next.Sequence, next.ChangeDate})
		c.writeField("sessionId", string(next.ID))
		c.writeField("sessionToken", token)
		return c.end(http.StatusCreated)
	}
	return a.overtaken()
}
