package httpapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// deleteRequest is DeleteSessionRequest.
type deleteRequest struct {
	token string
}

// decodeDelete reads the body, which may be missing. A token may stand in the
// query instead, for clients that can not send a body with DELETE.
func decodeDelete(c *call) (q deleteRequest, err error) {
	if !c.route.connect() {
		if q.token, _, err = c.param("sessionToken", "session_token"); err != nil {
			return q, err
		}
	}
	token, given, err := c.reference()
	if given {
		q.token = token
	}
	if err == nil {
		err = c.named("DeleteSessionRequest")
	}
	return q, err
}

// deleteSession answers DeleteSession. What is not there counts as deleted.
func (s *Server) deleteSession(ctx context.Context, c *call, q deleteRequest) error {
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
			}
			return s.deleted(c, details{changeDate: s.config.Store.Now()})
		}
		if err != nil {
			return err
		}
		c.session = old.ID
		if q.token != "" {
			if !old.Token.Matches(q.token) {
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
