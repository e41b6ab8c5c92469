package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// authenticate finds out who calls. authorization is the value of the header.
// Only a session token needs the store; if fresh, no copy of its session decides.
// An API key goes first, then a JWT of a configured issuer, then a session
// token, and last an opaque access token.
func (s *Server) authenticate(ctx context.Context, authorization []byte, fresh bool) (*caller, error) {
	if len(authorization) == 0 {
		if s.config.Anonymous {
			return anonymous, nil
		}
		return nil, errNoCredentials
	}
	scheme, token, _ := bytes.Cut(authorization, []byte(" "))
	token = bytes.TrimSpace(token)
	if !bytes.EqualFold(scheme, []byte("Bearer")) {
		return nil, errBadCredentials
	}
	if len(token) == 0 {
		return nil, errEndedToken
	}
	if c := s.keys.Load().find(token); c != nil {
		return c, nil
	}
	access, err := s.jwtCaller(ctx, token)
	if access != nil || err != nil {
		return access, err
	}
	timed := server.WithLateDeadline(ctx, time.Now().Add(s.limits.request))
	defer timed.End()
	byToken := s.config.Store.GetByToken
	if fresh {
		byToken = s.config.Store.GetByTokenFresh
	}
	stored, err := byToken(timed, string(token)) // I8
	if errors.Is(err, session.ErrNotFound) {
		why := reasonOf(err)
		access, err := s.opaqueCaller(ctx, token)
		if err == errBadCredentials || err == errEndedToken {
			err = refusedToken(guess(token, why))
		}
		return access, err
	}
	if err != nil {
		return nil, err // I2
	}
	return sessionCaller(stored, s.config.Store.Now())
}

// sessionCaller is the caller behind a session token: the session's user, on
// its user agent, without permissions. A session without a user, or with
// nothing but a user, proves nothing.
func sessionCaller(stored *session.Stored, now session.Time) (*caller, error) {
	proof, _, err := session.ProofOf(stored.Doc, now)
	if err != nil {
		return nil, brokenDoc(stored.ID, err)
	}
	if stored.UserID == "" || proof.Factors == 0 {
		return nil, errEndedToken
	}
	return &caller{name: "session " + string(stored.ID), userID: stored.UserID, agentID: stored.AgentID}, nil
}

// refusedToken is the error of a token that is refused.
func refusedToken(guessed bool) *refusal.Error {
	if guessed {
		return errBadCredentials
	}
	return errEndedToken
}

// brokenDoc is the error of a stored document that can not be read.
func brokenDoc(id session.ID, err error) error {
	return fmt.Errorf("%w: the document of session %s: %s", session.ErrUnavailable, id, err)
}
