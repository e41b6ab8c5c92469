package samples

import (
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// demoLifetime is how long the session to verify and revoke lives.
const demoLifetime = 24 * time.Hour

// Demo makes a session to verify and revoke, another one at each call, and its token.
func Demo(now session.Time) (*session.Session, string) {
	id := session.NewID(now)
	token, hash := session.NewToken(id)
	return &session.Session{
		ID: id, Token: hash, CreationDate: now, ChangeDate: now, ExpirationDate: now.Add(demoLifetime), Sequence: 1, Creator: creators[0],
		Factors: session.Factors{
			User:     &session.UserFactor{VerifiedAt: now, ID: "alice", LoginName: "alice@" + organizations[0].domain, OrganizationID: organizations[0].id},
			Password: &session.Factor{VerifiedAt: now},
		},
	}, token
}
