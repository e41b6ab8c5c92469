package gateways

import (
	"net/http"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
)

// After a logout through another process nginx refuses: at once, when Redis tells ours of it, and within the bound when it can
// not. How soon, the load harness measures; here counts that it does, and that it never passes again.
func TestI4_LogoutElsewhereIsRefusedByNginx(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nginx{})
	t.Run("told", func(t *testing.T) {
		v := w.other.login(t, "told")
		w.passes(t, request{}.by(v), v)
		w.other.logout(t, v)
		w.endsFor(t, v, http.StatusUnauthorized)
	})
	t.Run("the link is cut", func(t *testing.T) {
		v := w.other.login(t, "cut")
		w.passes(t, request{}.by(v), v)
		w.redis.Refuse(true)
		w.redis.CutAll()
		w.other.logout(t, v)
		w.endsFor(t, v, http.StatusServiceUnavailable)
		w.redis.Refuse(false)
		w.endsFor(t, v, http.StatusUnauthorized)
	})
	t.Run("the link is silent", func(t *testing.T) {
		v := w.other.login(t, "silent")
		w.recovered(t, v)
		w.passes(t, request{}.by(v), v)
		w.redis.Stall(true)
		w.other.logout(t, v)
		w.endsFor(t, v, http.StatusServiceUnavailable)
		w.redis.Stall(false)
		w.endsFor(t, v, http.StatusUnauthorized)
	})
}

// endsFor waits until v is refused with the status. Once refused, it may not pass again.
func (w *world) endsFor(t *testing.T, v *visitor, status int) {
	t.Helper()
	refused, again := false, 20
	ended := eventually.Within(patience, func() bool {
		response, _ := send(t, w.addr, request{}.by(v))
		reached := w.app.take()
		if ok := response.StatusCode == http.StatusOK; ok != (len(reached) == 1) || ok && refused {
			t.Fatalf("status %d, it reached the application %d times, refused before: %v", response.StatusCode, len(reached), refused)
		}
		refused = response.StatusCode != http.StatusOK
		if response.StatusCode == status {
			again--
		}
		return again == 0
	})
	if !ended {
		t.Errorf("it is not refused with %d", status)
	}
}
