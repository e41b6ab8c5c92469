package near

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// Another link may come while Stale looks: the copies of the one before are not
// as young as its proofs.
func TestStale_AnotherLinkMeanwhile(t *testing.T) {
	made := sessionOf("1", "u")
	token, secret := session.NewToken(made.ID)
	made.Token = secret
	begun := time.Now()
	n := linked(t, Config{StaleFor: time.Minute, Read: reads(stored(t, made))})
	var another atomic.Bool
	n.Hook(Hooks{Clock: func() time.Duration {
		if another.Swap(false) {
			n.epochs.link()
		}
		return time.Since(begun)
	}})
	if _, err := n.Session(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := n.Stale(token); !ok {
		t.Fatal("there is no copy")
	}
	another.Store(true)
	if s, age, ok := n.Stale(token); ok {
		t.Errorf("got session %s of the link before, as if it were %v old", s.ID, age)
	}
}
