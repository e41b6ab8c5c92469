package cache

import (
	"time"

	"github.com/cloakroom-dev/cloakroom/cache/near"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// Stale returns the session whose current token was token when that was last
// known, and how long ago that was: for callers that would rather let somebody in
// than have no answer while Redis is away. It answers from copies alone,
// also from those of a link that has ended, until there is another one. It never
// answers with a session that is due (I1), nor with one that this process has
// written since, even if the outcome is not known, or has found changed in Redis (I4). ok is false if nothing is known, or
// nothing that was known less than Config.StaleIfError ago.
func (s *Store) Stale(token string) (stored *session.Stored, age time.Duration, ok bool) {
	if s.near == nil {
		return nil, 0, false
	}
	return s.near.Stale(token)
}

// MasterLost tells the store that the server which it has asked is not the master
// any more: from now on no copy answers that came from there. (I4)
func (s *Store) MasterLost() {
	if s.near != nil {
		s.near.MasterLost()
	}
}

// NearStats returns what the near cache tells of itself.
func (s *Store) NearStats() near.Stats { return s.near.Stats() }
