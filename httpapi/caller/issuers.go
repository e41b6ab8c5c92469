package caller

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/internal/deadline"
	"github.com/cloakroom-dev/cloakroom/internal/oidc"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// ErrIssuer is the answer where a token can be judged only by an issuer that is
// away or late. It says nothing about the token. (I2)
var ErrIssuer = &refusal.Error{Code: refusal.Unavailable, Text: "the issuer of the token is unavailable"}

// SetIssuers takes access tokens and logout tokens of v's issuers, for requests
// that begin after it; nil takes none.
func (a *Authenticator) SetIssuers(v *oidc.Verifier) { a.issuers.Store(v) }

// Issuers are those that were set last, nil if there are none.
func (a *Authenticator) Issuers() *oidc.Verifier { return a.issuers.Load() }

// jwtCaller is the caller behind an access token that is a JWT of a configured
// issuer, or that was found good a moment ago. It is nil for any other token.
// Such a JWT is no session token, whatever the store holds.
func (a *Authenticator) jwtCaller(ctx context.Context, token []byte, within time.Duration) (*Caller, error) {
	issuers := a.issuers.Load()
	if issuers == nil || ownToken(token) {
		return nil, nil
	}
	access, err := issuers.JWT(ctx, token)
	if errors.Is(err, oidc.ErrForeign) {
		return nil, nil
	}
	return a.accessCaller(ctx, access, err, within)
}

// goesOn is nil unless the login of an access token has ended, as verify would say of a JWT.
func (a *Authenticator) goesOn(ctx context.Context, l *session.Login, within time.Duration) error {
	ended, known := a.config.Store.EndedCopy(l)
	if !known {
		timed := deadline.Lazy(ctx, time.Now().Add(within))
		defer timed.End()
		var err error
		if ended, err = a.config.Store.Ended(timed, l); err != nil {
			return err // I2
		}
	}
	if ended {
		return errEndedToken
	}
	return nil
}

// opaqueCaller is the caller behind a token that is neither an API key nor a
// session token, by what the issuers say. Tokens of our own making, which have
// ended or were mistyped, are not shown to them.
func (a *Authenticator) opaqueCaller(ctx context.Context, token []byte, within time.Duration) (*Caller, error) {
	issuers := a.issuers.Load()
	if issuers == nil || !issuers.Asks() || ownToken(token) {
		return nil, ErrBadCredentials
	}
	access, err := issuers.Opaque(ctx, string(token)) // I8
	return a.accessCaller(ctx, access, err, within)
}

// accessCaller is the caller that an access token makes, unless its login has ended.
func (a *Authenticator) accessCaller(ctx context.Context, access *oidc.Access, err error, within time.Duration) (*Caller, error) {
	if errors.Is(err, oidc.ErrUnavailable) {
		return nil, ErrIssuer
	}
	if e, ok := errors.AsType[*oidc.InvalidError](err); ok {
		return nil, refusedToken(!e.Expired && !e.Inactive && !e.Later && !e.Genuine)
	}
	if err != nil {
		return nil, ErrBadCredentials
	}
	if access.Login != nil {
		if err := a.goesOn(ctx, access.Login, within); err != nil {
			return nil, err
		}
	}
	granted := func(g oidc.Grant) Grant { return Grant{All: g.All, Orgs: g.Organizations} }
	return &Caller{
		Name: "issuer " + access.Issuer, UserID: access.UserID, AgentID: access.AgentID, Remote: true,
		Read: granted(access.Read), Write: granted(access.Write), Delete: granted(access.Delete),
	}, nil
}

// OwnKind says which credential of our own making a token is: "API key" or "session token", "" if it is neither.
func OwnKind(token string) string {
	switch {
	case !ownToken([]byte(token)):
		return ""
	case strings.HasPrefix(token, apiKeyPrefix):
		return "API key"
	}
	return "session token"
}

// ownToken says whether a token is an API key or a session token of our own
// making, dead or alive: one whose ID is all digits, as those are that we make.
func ownToken(token []byte) bool {
	if bytes.HasPrefix(token, []byte(apiKeyPrefix)) {
		return true
	}
	if len(token) != ownTokenLen || token[ownIDLen] != '.' {
		return false
	}
	for _, c := range token[:ownIDLen] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// ownIDLen is the length of the session IDs that we make, ownTokenLen that of
// their tokens.
const (
	ownIDLen    = 19
	ownTokenLen = ownIDLen + 1 + 43
)
