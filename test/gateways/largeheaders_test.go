package gateways

import (
	"net/http"
	"strings"
	"testing"
)

// A gateway that lets large headers through asks with them. A good session passes, and where they are too large for verify
// the client is not sent to a login, which would not help.
func TestLargeHeaders(t *testing.T) {
	forEach(t, gateways[:3], func(t *testing.T, g gateway) {
		w := newWorld(t, g, "--max-header-bytes", "48KiB")
		v := w.ours.login(t, "large")
		long := strings.Repeat("x", 14<<10)
		large := request{}.by(v).with("X-A: "+long, "X-B: "+long, "Cookie: c="+long)
		w.passes(t, large, v)
		if _, ok := g.(haproxy); ok { // its question has the credentials alone
			w.passes(t, large.with("X-C: "+long), v)
			return
		}
		response, body, reached := w.send(t, large.with("X-C: "+long))
		if response.StatusCode != http.StatusForbidden || response.Header.Get("WWW-Authenticate") != "" || len(reached) != 0 {
			t.Errorf("more than verify takes: %d %v %s", response.StatusCode, response.Header, body)
		}
		w.passes(t, request{}.by(v), v)
	})
}
