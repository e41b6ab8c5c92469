package httpapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/cloakroom-dev/cloakroom/httpapi/request"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// decodeDelete reads the body, which may be missing. A token may stand in the
// query instead, for clients that cannot send a body with DELETE.
func decodeDelete(c *call) (token string, err error) {
	if !c.route.connect() {
		if token, _, err = c.param("sessionToken", "session_token"); err != nil {
			return "", err
		}
	}
	q, err := request.DecodeReference(c.body)
	if q.Given {
		token = q.Token
	}
	if err == nil {
		err = c.named("DeleteSessionRequest", q.ID)
	}
	return token, err
}

// deleteSession answers DeleteSession. What is not there counts as deleted.
func (s *Server) deleteSession(ctx context.Context, c *call, token string) error {
	a := newAttempts(ctx)
	for a.next() {
		old, err := s.findFresh(ctx, c.id)
		if errors.Is(err, session.ErrNotFound) || errors.Is(err, errUnknownSession) {
			if id, bad := session.ParseID(c.id); bad == nil {
				confirmed, err := s.config.Store.ConfirmDeleted(ctx, id)
				if errors.Is(err, session.ErrConflict) {
					continue // what has answered was a replica, or it has been created since
				}
				if err != nil {
					return err
				}
				c.acknowledged(confirmed)
				if err := s.endUnseen(ctx, c, id); err != nil {
					return err
				}
			}
			return s.deleted(c, details{changeDate: s.config.Store.Now()})
		}
		if err != nil {
			return err
		}
		c.session = old.ID
		if token != "" {
			if !old.Token.Matches(token) {
				return errDeleteToken
			}
		} else if !c.caller.MayDelete(&old.Facts) {
			return errDenied
		}
		gone, err := s.config.Store.Delete(ctx, old, "deleted")
		if errors.Is(err, session.ErrConflict) || errors.Is(err, session.ErrNotFound) {
			continue // look again: it may have another token or user now
		}
		if err != nil {
			return err
		}
		c.acknowledged(gone.Acknowledged)
		return s.deleted(c, details{gone.Sequence, gone.ChangeDate})
	}
	return a.overtaken()
}

func (s *Server) deleted(c *call, d details) error {
	c.writeDetails(s.config.InstanceID, d)
	return c.end(http.StatusOK)
}
