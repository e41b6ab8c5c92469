package oidc

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// userID returns what a user of this issuer is called here. ok is false if nobody can be
// called so.
func (s *issuerSettings) userID(sub string) (id string, ok bool) {
	id = s.prefix + sub
	return id, validName(id) && !s.foreign(id)
}

// sessionID returns what a session of this issuer is called here: an ID that is too long
// or has other characters than IDs have goes by its SHA-256.
func (s *issuerSettings) sessionID(sid string) session.ID {
	if id, err := session.ParseID(s.prefix + sid); err == nil && !s.foreign(string(id)) {
		return id
	}
	sum := sha256.Sum256([]byte(sid))
	return session.ID(s.prefix + base64.RawURLEncoding.EncodeToString(sum[:]))
}

// foreign says whether an ID would be one of another issuer's.
func (s *issuerSettings) foreign(id string) bool {
	return slices.ContainsFunc(s.others, func(prefix string) bool { return strings.HasPrefix(id, prefix) })
}

// has says whether an ID of a session or a user may be one of this issuer's.
func (s *issuerSettings) has(id string) bool {
	return strings.HasPrefix(id, s.prefix) && !s.foreign(id)
}

// EndsFor says whether a session with this ID can end for good, by a logout, and how long its deletion must
// be kept as an end, so that no JWT of it outlives that; 0 if none can name it. It is for cache.Store's
// SetEndsFor.
func (v *Verifier) EndsFor(id session.ID) (kept time.Duration, ends bool) {
	for _, i := range v.current.Load().list {
		switch {
		case !i.has(string(id)):
		case i.verify != nil:
			return i.lifetime, true
		case i.logout != nil && i.logout.sessionAt != nil:
			ends = true
		}
	}
	return 0, ends
}

// PassUnseen says whether JWTs of a session with this ID pass though it is not stored.
func (v *Verifier) PassUnseen(id session.ID) bool {
	for _, i := range v.current.Load().list {
		if i.verify != nil && !i.verify.required && i.has(string(id)) {
			return true
		}
	}
	return false
}

// EndOfUser returns the end of all logins of a user until now, for a caller that ends them;
// ok is false if the user has no JWTs that gateways bring. It reaches so far into the future as the
// issuer's clock may be ahead.
func (v *Verifier) EndOfUser(userID string, now session.Time) (name session.EndName, e session.End, ok bool) {
	for _, i := range v.current.Load().list {
		if i.verify != nil && i.has(userID) {
			return session.EndOfUser(userID), session.End{NotAfter: now.Add(i.leeway), Until: now.Add(i.lifetime)}, true
		}
	}
	return "", e, false
}
