package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/internal/deadline"
	"github.com/cloakroom-dev/cloakroom/internal/oidc"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// Accepts says which tokens are accepted.
type Accepts uint8

// The kinds of tokens that verify knows.
const (
	AcceptSessions     Accepts = 1 << iota // session tokens
	AcceptJWTs                             // JWTs of issuers with verify
	AcceptPairs                            // ID:TOKEN, a session ID and a session token
	AcceptLoginCookies                     // the cookie of ZITADEL's login application
)

// AcceptsForm is how it is written which tokens are accepted.
const AcceptsForm = "session, jwt, id-token-pair and zitadel-cookie, or some of them with commas between"

// acceptsNames are the names of the kinds of tokens.
var acceptsNames = []struct {
	kind Accepts
	name string
}{{AcceptSessions, "session"}, {AcceptJWTs, "jwt"}, {AcceptPairs, "id-token-pair"}, {AcceptLoginCookies, "zitadel-cookie"}}

// String returns the list in AcceptsForm.
func (a Accepts) String() string {
	var names []string
	for _, known := range acceptsNames {
		if a&known.kind != 0 {
			names = append(names, known.name)
		}
	}
	return strings.Join(names, ",")
}

// ParseAccepts reads a list in AcceptsForm.
func ParseAccepts(text string) (a Accepts, err error) {
	for part := range strings.SplitSeq(text, ",") {
		var kind Accepts
		for _, known := range acceptsNames {
			if known.name == strings.TrimSpace(part) {
				kind = known.kind
			}
		}
		if kind == 0 || a&kind != 0 {
			return 0, fmt.Errorf("must be %s", AcceptsForm)
		}
		a |= kind
	}
	return a, nil
}

var jwtBeginning = []byte("e") // of an object, in base64url

// jwtsOf returns the issuers that a token may be a JWT of, nil if it is none for sure: three
// parts, of which the first is an object. One of five parts is encrypted, and opaque here.
func (s *Endpoint) jwtsOf(token []byte) *oidc.Verifier {
	if s.config.Accepts&AcceptJWTs == 0 || !bytes.HasPrefix(token, jwtBeginning) || bytes.Count(token, []byte(".")) != 2 {
		return nil
	}
	if issuers := s.Issuers(); issuers != nil && issuers.Bears() {
		return issuers
	}
	return nil
}

// knownJWT finds what a JWT says that is known, unless its login has ended; with neither, somebody has to
// be asked. Its hash is for findJWT.
func (v *verification) knownJWT(issuers *oidc.Verifier, token []byte) (stored *session.Stored, hash oidc.TokenHash, err error) {
	v.bearer, hash = issuers.KnownBearer(token, v.s.Store.Now())
	if v.bearer == nil {
		return nil, hash, nil
	}
	switch ended, known := v.s.Store.EndedCopy(&v.bearer.Login); {
	case ended && known:
		return nil, hash, session.ErrRevoked
	case known && !v.bearer.Required:
		return &v.bearer.Session, hash, nil
	}
	return nil, hash, nil
}

// findJWT finds what a JWT says, or the session that it names where that must live, unless its
// login has ended. It is oidc.ErrForeign for a token of no issuer whose JWTs gateways bring.
func (v *verification) findJWT(base context.Context, start time.Time, issuers *oidc.Verifier, token []byte, hash oidc.TokenHash) (*session.Stored, error) {
	if v.bearer == nil {
		if err := v.checkJWT(base, start, issuers, token, hash); err != nil {
			return nil, err
		}
	}
	store := v.s.Store
	return v.ask(base, start, func(ctx context.Context) (*session.Stored, error) {
		ended, err := store.Ended(ctx, &v.bearer.Login)
		switch {
		case err != nil:
			return nil, err
		case ended:
			return nil, session.ErrRevoked
		case !v.bearer.Required:
			return &v.bearer.Session, nil
		}
		id, ok := store.SessionOf(&v.bearer.Login)
		if !ok {
			id = v.bearer.Session.ID
		}
		stored, err := store.Get(ctx, id)
		switch {
		case err != nil:
		case stored.UserID != v.bearer.Session.UserID:
			err = session.ErrNotFound // it is another user's
		case stored.Due(store.Now()): // which an upstream shows, too
			err = session.ErrExpired
		}
		return stored, err
	})
}

// checkJWT checks a JWT that is not known. It has no place among the reads of the store: who makes up names of
// keys, for which the issuer is asked, must not keep others out.
func (v *verification) checkJWT(base context.Context, start time.Time, issuers *oidc.Verifier, token []byte, hash oidc.TokenHash) (err error) {
	if !v.s.jwts.Enter() {
		return errNoPlace
	}
	defer v.s.jwts.Leave()
	ctx := deadline.Lazy(base, start.Add(v.patience()))
	defer ctx.End()
	v.bearer, err = issuers.Bearer(ctx, token, hash)
	return err
}

// staleJWT is findJWT by what was last known. Where the session must live it knows nothing: the
// copies of sessions are not looked at.
func (v *verification) staleJWT() (stored *session.Stored, age time.Duration, ok bool) {
	if v.bearer.Required {
		return nil, 0, false
	}
	ended, age, ok := v.s.Store.EndedStale(&v.bearer.Login)
	return &v.bearer.Session, age, ok && !ended
}

// issuerProves says that an issuer has vouched for the user, whatever factors its token names.
func (v *verification) issuerProves() bool { return v.bearer != nil && !v.bearer.Required }

// expiration is when what is answered ends: with the session, and with the token.
func (v *verification) expiration() session.Time {
	if v.bearer == nil {
		return v.stored.Expiration
	}
	return min(v.stored.Expiration, v.bearer.Session.Expiration)
}

// guesses says whether a token that is refused may have been guessed.
func (v *verification) guesses(token []byte, why reason, err error) bool {
	if e, ok := errors.AsType[*oidc.InvalidError](err); ok {
		return !e.Expired && !e.Later && !e.Genuine
	}
	return v.bearer == nil && caller.Guess(token, why == reasonNotFound)
}
