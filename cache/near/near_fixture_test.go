package near

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// linked returns a near cache whose copies may be used, as if it were followed. What it
// asks for, c answers; Redis is nowhere.
func linked(t *testing.T, c Config) *Cache {
	t.Helper()
	space, err := keys.NewSpace(keys.DefaultPrefix, 1)
	if err != nil {
		t.Fatal(err)
	}
	c.Keys, c.MaxBytes, c.Bound, c.Logger = space, 16<<20, time.Minute, slog.New(slog.DiscardHandler)
	c.Clock = func() session.Time { return session.TimeOf(time.Now()) }
	n := New(c)
	n.epochs.link()
	proven(n)
	if _, usable := n.Begin(); !usable {
		t.Fatal("copies may not be used")
	}
	return n
}

// proven proves a master that is followed.
func proven(n *Cache) {
	p := n.fresh.follow(1)[0]
	n.fresh.proveLink(p, n.fresh.clock())
	n.fresh.proveMaster(p, n.fresh.clock())
}

// stored returns what a store unpacks of a session: creator and document are texts of
// their own.
func stored(t *testing.T, s *session.Session) *session.Stored {
	t.Helper()
	found := &session.Stored{Doc: session.AppendJSON(nil, s), Token: s.Token, TokenForeign: s.TokenForeign}
	if err := session.FactsOf(found.Doc, &found.Facts); err != nil {
		t.Fatal(err)
	}
	found.Creator = s.Creator
	return found
}

// reads is Config.Read of one session.
func reads(s *session.Stored) func(context.Context, batch.Doer, session.ID) (*session.Stored, error) {
	return func(_ context.Context, _ batch.Doer, id session.ID) (*session.Stored, error) {
		if id != s.ID {
			return nil, nil
		}
		return s, nil
	}
}

// sessionOf makes a session of a user.
func sessionOf(id, user string) *session.Session {
	return &session.Session{
		ID: session.ID(id), CreationDate: 1_700_000_000_000_000, ChangeDate: 1_700_000_000_000_000, Sequence: 1, ExpirationDate: session.Never,
		Factors: session.Factors{User: &session.UserFactor{ID: user}},
	}
}
