package apiclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// maxRevoked bounds the answer to a revocation, in bytes.
const maxRevoked = 64 << 10

// ErrNothingRevoked says that it was told to end before it revoked.
var ErrNothingRevoked = errors.New("interrupted; nothing was revoked")

// Revocation is the body of POST /v2/sessions/revoke: sessions that all Queries find, or All that the caller may delete.
type Revocation struct {
	Queries   []Query  `json:"queries,omitempty"`
	All       bool     `json:"all,omitempty"`
	ExceptIDs []string `json:"exceptIds,omitempty"`
	// DryRun only counts.
	DryRun bool `json:"dryRun"`
}

// Revoked is what a revocation did.
type Revoked struct {
	// Sessions is how many were revoked, or only counted; Unreplicated is how many of
	// these deletions too few replicas have.
	Sessions, Unreplicated uint64
	// NotBefore is the instant up to which JWTs of the user's logins are refused; "" if none are.
	NotBefore string
	// SessionsOfJWTs is how many of the IDs, stored or not, JWTs may name, which are refused.
	SessionsOfJWTs uint64
}

// Revoke sends a revocation. It has no deadline but that of ctx. Its errors are for people, and say what to do.
func (c *Client) Revoke(ctx context.Context, r *Revocation) (done Revoked, err error) {
	status, text, err := c.send(ctx, http.MethodPost, "/v2/sessions/revoke", r, false, maxRevoked)
	if err != nil {
		return done, c.unrevoked(ctx, r, err)
	}
	if status != http.StatusOK {
		return done, c.refused(status, text)
	}
	var answer struct{ Revoked, Unreplicated, NotBefore, SessionsOfJwts string }
	if err := json.Unmarshal(text, &answer); err == nil {
		if n, err := strconv.ParseUint(answer.Revoked, 10, 64); err == nil {
			done.Sessions = n
			done.Unreplicated, _ = strconv.ParseUint(answer.Unreplicated, 10, 64) // mostly absent
			done.SessionsOfJWTs, _ = strconv.ParseUint(answer.SessionsOfJwts, 10, 64)
			done.NotBefore = answer.NotBefore
			return done, nil
		}
	}
	return done, c.unlike()
}

// unrevoked says what to do if no answer came.
func (c *Client) unrevoked(ctx context.Context, r *Revocation, err error) error {
	err, unsent := c.unreached(err)
	switch {
	case r.DryRun && ctx.Err() != nil:
		return ErrNothingRevoked
	case unsent:
		return err
	case r.DryRun:
		return fmt.Errorf("%w; nothing was revoked", err)
	case ctx.Err() != nil:
		return errors.New("interrupted; the sidecar goes on with what it was told, and its log will have the count")
	}
	return fmt.Errorf("%w; some sessions may be revoked: run the same again to revoke the rest", err)
}
