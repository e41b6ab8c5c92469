package oidc

import (
	"crypto/sha256"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/bounded"
)

const (
	// knownFor bounds how long an answer about a token is believed: a key that
	// the issuer has withdrawn, a rule that has changed and a token that was
	// revoked count at the latest this much after they are known. It is long
	// against the time between two requests of a busy caller, for whom the
	// signature is checked once in this time and not once a request.
	knownFor = 30 * time.Second
	// refusedFor is how long the issuer is not asked again about an opaque token
	// that it said is not active. Such a token does not become active later.
	refusedFor = 5 * time.Second
	// knownBytes is about how much memory known tokens may take, maxRefused the
	// number of refused ones.
	knownBytes = 16 << 20
	maxRefused = 10_000
	// knownBearerBytes is about how much memory the JWTs may take that gateways have brought.
	knownBearerBytes = 64 << 20
)

// tokenHash is the SHA-256 of a token, which is all that is kept of one. (I6)
type tokenHash [sha256.Size]byte

// result is what is known of a token until an instant.
type result struct {
	access *Access
	until  time.Time
}

// results are the tokens that were found good, and the opaque ones that were
// refused, which must not push out the others. Both are bounded.
type results struct {
	good    bounded.Cache[tokenHash, result]
	refused bounded.Cache[tokenHash, time.Time]
}

func newResults() results {
	return results{good: bounded.InBytes(knownBytes, weight), refused: bounded.InEntries[tokenHash, time.Time](maxRefused)}
}

// weight is about how many bytes a result takes.
func weight(_ tokenHash, r result) uint32 {
	n := 512 + len(r.access.UserID) + len(r.access.AgentID)
	for _, g := range []*Grant{&r.access.Read, &r.access.Write, &r.access.Delete} {
		for _, o := range g.Organizations {
			n += 16 + len(o)
		}
	}
	return uint32(n)
}

// get returns what is known of a token now, nil if nothing is.
func (r *results) get(h tokenHash, now time.Time) *Access {
	found, ok := r.good.GetIfPresent(h)
	if !ok || !now.Before(found.until) {
		return nil
	}
	return found.access
}

// put notes that a token is good, until it expires and no longer than knownFor.
func (r *results) put(h tokenHash, a *Access, now, expires time.Time) {
	until := now.Add(knownFor)
	if !expires.IsZero() && expires.Before(until) {
		until = expires
	}
	if now.Before(until) {
		r.good.Set(h, result{a, until})
	}
}

// wasRefused says whether the issuer refused the token a moment ago.
func (r *results) wasRefused(h tokenHash, now time.Time) bool {
	until, ok := r.refused.GetIfPresent(h)
	return ok && now.Before(until)
}

func (r *results) refuse(h tokenHash, now time.Time) { r.refused.Set(h, now.Add(refusedFor)) }
