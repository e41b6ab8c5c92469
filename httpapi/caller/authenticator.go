package caller

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/internal/deadline"
	"github.com/cloakroom-dev/cloakroom/internal/oidc"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/prometheus/client_golang/prometheus"
)

// Config configures an Authenticator. Store is required; other zero
// fields leave out what they are for.
type Config struct {
	// Store knows the sessions whose tokens are shown.
	Store *cache.Store
	// Anonymous gives callers without credentials all permissions, under the user
	// ID "anonymous".
	Anonymous bool
	// Upstream says that the sessions are those of a ZITADEL: it, and not the Store, knows whose tokens are
	// neither API keys nor of a configured issuer.
	Upstream bool
	// KeyRate limits each API key that has no limit of its own.
	KeyRate KeyRate
	// Metrics registers what the limits of keys refuse; nil has none.
	Metrics prometheus.Registerer
}

// Authenticator identifies callers. Make it with New. It is safe for
// concurrent use.
type Authenticator struct {
	config Config
	keys   atomic.Pointer[APIKeys]
	// keysSet is held while keys are replaced.
	keysSet    sync.Mutex
	keyMetrics *keyMetrics
	issuers    atomic.Pointer[oidc.Verifier]
}

// New returns an Authenticator without API keys and issuers.
func New(c Config) (*Authenticator, error) {
	m, err := newKeyMetrics(c.Metrics)
	if err != nil {
		return nil, err
	}
	return &Authenticator{config: c, keyMetrics: m}, nil
}

// SetKeys replaces the API keys, for requests that begin after it; nil has none.
// A key that stays with the same limit keeps the rest of its allowance.
func (a *Authenticator) SetKeys(k *APIKeys) {
	a.keysSet.Lock()
	defer a.keysSet.Unlock()
	a.keys.Store(k.limited(a.keys.Load(), a.config.KeyRate, a.keyMetrics))
}

// ByKey returns the caller whose API key is secret, and the SHA-256 of that, by which ByHash finds
// the caller again; nil if there is no such key. It keeps nothing of secret. (I6)
func (a *Authenticator) ByKey(secret []byte) (*Caller, [sha256.Size]byte) {
	hash := sha256.Sum256(secret)
	return a.ByHash(hash), hash
}

// ByHash returns the caller whose API key has this SHA-256, as the keys are now: nil once the key is
// no longer among them.
func (a *Authenticator) ByHash(hash [sha256.Size]byte) *Caller { return a.keys.Load().of(hash) }

// Anonymous returns the caller without credentials, nil unless Config.Anonymous allows it.
func (a *Authenticator) Anonymous() *Caller {
	if !a.config.Anonymous {
		return nil
	}
	return anonymous
}

// Authenticate identifies the caller. authorization is the value of the header, of
// which nothing is kept. Only a session token, or a JWT whose login may have ended, needs the store, which has the time
// within for it; if fresh, no copy of its session decides. Its error is a
// *refusal.Error, or one of the store that says nothing about the token. (I2)
// An API key goes first, then a JWT of a configured issuer, then a session
// token, and last an opaque access token.
func (a *Authenticator) Authenticate(ctx context.Context, authorization []byte, fresh bool, within time.Duration) (*Caller, error) {
	if len(authorization) == 0 {
		if c := a.Anonymous(); c != nil {
			return c, nil
		}
		return nil, ErrNoCredentials
	}
	scheme, token, _ := bytes.Cut(authorization, []byte(" "))
	token = bytes.TrimSpace(token)
	if !bytes.EqualFold(scheme, []byte("Bearer")) {
		return nil, ErrBadCredentials
	}
	if len(token) == 0 {
		return nil, errEndedToken
	}
	if c := a.keys.Load().find(token); c != nil {
		return c, nil
	}
	access, err := a.jwtCaller(ctx, token, within)
	if err != nil {
		return nil, err
	}
	if access != nil {
		return access, nil
	}
	if a.config.Upstream {
		return a.upstreamCaller(ctx, token, within)
	}
	timed := deadline.Lazy(ctx, time.Now().Add(within))
	defer timed.End()
	byToken := a.config.Store.GetByToken
	if fresh {
		byToken = a.config.Store.GetByTokenFresh
	}
	stored, err := byToken(timed, string(token)) // I8
	if errors.Is(err, session.ErrNotFound) {
		unknown := neverKnown(err)
		access, err := a.opaqueCaller(ctx, token, within)
		if err == ErrBadCredentials || err == errEndedToken {
			err = refusedToken(Guess(token, unknown))
		}
		return access, err
	}
	if err != nil {
		return nil, err // I2
	}
	return sessionCaller(stored, a.config.Store.Now())
}

// unknownCaller is a caller whom only the system of record knows.
var unknownCaller = &Caller{Name: "upstream", Upstream: true, Remote: true}

// upstreamCaller is the caller behind a token that is neither an API key nor a JWT of an issuer: of an issuer that
// knows it as opaque, or one of ZITADEL's.
func (a *Authenticator) upstreamCaller(ctx context.Context, token []byte, within time.Duration) (*Caller, error) {
	if ownToken(token) {
		return nil, ErrBadCredentials
	}
	c, err := a.opaqueCaller(ctx, token, within)
	if err == ErrBadCredentials || err == errEndedToken {
		return unknownCaller, nil
	}
	return c, err
}

// sessionCaller is the caller behind a session token: the session's user, on
// its user agent, without permissions. A session without a user, or with
// nothing but a user, proves nothing.
func sessionCaller(stored *session.Stored, now session.Time) (*Caller, error) {
	proof, _, err := session.ProofOf(stored.Doc, now)
	if err != nil {
		return nil, session.BrokenDoc(stored.ID, err)
	}
	if stored.UserID == "" || proof.Factors == 0 {
		return nil, errEndedToken
	}
	return &Caller{Name: "session " + string(stored.ID), UserID: stored.UserID, AgentID: stored.AgentID}, nil
}

// neverKnown says whether the store, by the error of its that no session has the
// token, knows of none that had it.
func neverKnown(err error) bool {
	return !errors.Is(err, session.ErrRevoked) && !errors.Is(err, session.ErrExpired) && !errors.Is(err, session.ErrWrongToken)
}

// refusedToken is the error of a token that is refused.
func refusedToken(guessed bool) *refusal.Error {
	if guessed {
		return ErrBadCredentials
	}
	return errEndedToken
}

// What Authenticate refuses.
var (
	ErrNoCredentials  = &refusal.Error{Code: refusal.Unauthorised, Text: "auth header missing"}
	ErrBadCredentials = &refusal.Error{Code: refusal.Unauthorised, Text: "invalid token", Guessed: true}
	errEndedToken     = &refusal.Error{Code: refusal.Unauthorised, Text: "invalid token"} // it has ended, or may have, or proves nothing
)
