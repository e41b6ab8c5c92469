package gateways

import (
	"net/http"
	"testing"
)

// Some clients send UTF-8 in a target without encoding it.
func TestRawBytesInTheTarget(t *testing.T) {
	targets := map[string]string{"nginx": "/ü?q=ü", "Caddy": "/%C3%BC?q=ü"} // HAProxy refuses it
	forEach(t, gateways[:3], func(t *testing.T, g gateway) {
		w := newWorld(t, nil)
		app := startChat(t)
		w.addr = g.Start(t, w.verify.Addr, app.addr)
		app.take() // what looked whether the gateway is there
		response, _ := send(t, w.addr, request{target: "/ü?q=ü"}.by(w.ours.login(t, "raw")))
		reached := app.take()
		want, passes := targets[g.Name()]
		switch {
		case !passes && response.StatusCode == http.StatusBadRequest && len(reached) == 0:
		case passes && response.StatusCode == http.StatusOK && len(reached) == 1 && reached[0].target == want:
		default:
			t.Errorf("status %d, it reached the application %d times, want the target %q", response.StatusCode, len(reached), want)
		}
	})
}
