package near

import (
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// Stale returns the session whose current token was token when that was last
// known, and how long ago that was. It answers from copies alone, also from those of
// a link that has ended, until there is another one. It never answers with a session
// that is due (I1), nor with one that Forget or Supersede has removed since (I4). ok
// is false if nothing is known, or nothing that was known less than Config.StaleFor
// ago.
func (n *Cache) Stale(token string) (stored *session.Stored, age time.Duration, ok bool) {
	age, epoch := n.staleness()
	if age < 0 || age >= n.config.StaleFor {
		return nil, 0, false
	}
	if id, own := session.SplitToken(token); own {
		if stored, ok = n.stale(id, epoch, token); ok {
			return stored, age, true
		}
	}
	if id, known := n.tokens.getOf(session.HashToken(token), epoch); known {
		stored, ok = n.stale(id, epoch, token)
	}
	return stored, age, ok
}

// staleAge is Stats.StaleAge.
func (n *Cache) staleAge() time.Duration {
	if age, _ := n.staleness(); age < n.config.StaleFor {
		return age
	}
	return -1
}

// stale returns the copy of a session in an epoch, if it lives and has this token.
func (n *Cache) stale(id session.ID, epoch uint64, token string) (*session.Stored, bool) {
	stored, ok := n.sessions.getOf(id, epoch)
	if !ok || stored.Due(n.config.Clock()) || !stored.Token.Matches(token) {
		return nil, false
	}
	return stored, true
}

// staleness says how long ago the copies that there are were last proven to be
// right, and of which epoch they are. age is negative if they never were.
//
// An epoch without a link (an even one) takes no copies in; what is held then
// is of the epoch before, whose link has ended.
//
// The age is asked for first: if another link comes in between, the epoch is
// that of newer copies, never the age that of newer proofs.
func (n *Cache) staleness() (age time.Duration, epoch uint64) {
	age = n.fresh.sinceProven()
	epoch = n.epochs.now()
	if !n.epochs.linked(epoch) {
		epoch--
	}
	return age, epoch
}
