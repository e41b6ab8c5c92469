package httpapi

import (
	"bytes"
	"context"
	"errors"
	"net/http"

	"github.com/cloakroom-dev/cloakroom/httpapi/request"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

func decodeSet(c *call) (*request.Changes, error) {
	q, err := request.DecodeSet(c.body)
	if err == nil {
		err = c.named("SetSessionRequest", q.ID)
	}
	return q, err
}

// setSession answers SetSession: it reads the session, changes it, and puts it
// back in the place of what it read. If another writer was faster, it begins
// again, so that no update is lost.
func (s *Server) setSession(ctx context.Context, c *call, q *request.Changes) error {
	a := newAttempts(ctx)
	for a.next() {
		old, err := s.findFresh(ctx, c.id)
		if err != nil {
			return err
		}
		c.session = old.ID
		if !c.caller.Write.Covers(old.OrgID) {
			return errDenied
		}
		if err := q.Possible(); err != nil {
			return err
		}
		if err := c.precondition(true, old.Sequence); err != nil {
			return err
		}
		token, d, err := s.change(ctx, old, q)
		if errors.Is(err, session.ErrConflict) {
			continue
		}
		if err != nil {
			return err
		}
		c.writeDetails(s.config.InstanceID, d)
		c.writeField("sessionToken", token)
		return c.end(http.StatusOK)
	}
	return a.overtaken()
}

// change puts a changed version in the place of old. Where nothing changes,
// nothing is written and there is no token.
func (s *Server) change(ctx context.Context, old *session.Stored, q *request.Changes) (token string, d details, err error) {
	next, err := session.ParseDoc(old.Doc)
	if err != nil {
		return "", details{}, session.BrokenDoc(old.ID, err)
	}
	now := s.config.Store.Now()
	if err := q.Apply(next, now); err != nil {
		return "", details{}, err
	}
	if q.Lifetime != 0 {
		if next.ExpirationDate, err = q.Expiration(now, q.Lifetime, s.config.MaxLifetime); err != nil {
			return "", details{}, err
		}
	}
	if bytes.Equal(session.AppendJSON(nil, next), old.Doc) {
		return "", details{old.Sequence, next.ChangeDate}, nil
	}
	next.Sequence++
	next.ChangeDate = max(now, next.ChangeDate)
	next.Creator = old.Creator
	token, next.Token = session.NewToken(next.ID)
	if err := next.Validate(s.config.MaxSessionBytes); err != nil {
		return "", details{}, err
	}
	if err := s.config.Store.Put(ctx, next, old); err != nil {
		return "", details{}, err
	}
	return token, details{next.Sequence, next.ChangeDate}, nil
}
