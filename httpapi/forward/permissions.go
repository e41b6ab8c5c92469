package forward

import (
	"crypto/sha256"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/bounded"
)

// Permissions remembers for a while which callers ZITADEL has shown which version of a session: a yes only, never a
// no. It holds hashes. (I6) It is safe for concurrent use; nil remembers nothing.
type Permissions struct {
	age  time.Duration
	held bounded.Cache[Question, yes]
}

// Question is the hash of what was asked, and by whom.
type Question [sha256.Size]byte

// Version is the hash of what was shown.
type Version [sha256.Size]byte

type yes struct {
	version Version
	until   time.Time
}

// maxPermissions is how many are remembered.
const maxPermissions = 100_000

// NewPermissions returns Permissions that remember for age; nil, if that is not above 0.
func NewPermissions(age time.Duration) *Permissions {
	if age <= 0 {
		return nil
	}
	return &Permissions{age: age, held: bounded.InEntries[Question, yes](maxPermissions)}
}

// Ask names a question: the value of the header Authorization, the session, and its token, "" if that was not shown.
func Ask(authorization []byte, id, token string) Question {
	h := sha256.New()
	for _, part := range [][]byte{authorization, []byte(id), []byte(token)} {
		sum := sha256.Sum256(part)
		_, _ = h.Write(sum[:])
	}
	return Question(h.Sum(nil))
}

// Shows says which version of a session a caller was shown, if that was a short while ago.
func (p *Permissions) Shows(q Question, now time.Time) (Version, bool) {
	if p == nil {
		return Version{}, false
	}
	y, ok := p.held.GetIfPresent(q)
	return y.version, ok && now.Before(y.until)
}

// Shown remembers that a caller was shown a version. asked is when the caller asked, or earlier.
func (p *Permissions) Shown(q Question, v Version, asked time.Time) {
	if p != nil {
		p.held.Set(q, yes{v, asked.Add(p.age)})
	}
}
