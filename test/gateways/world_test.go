package gateways

import (
	"net/http"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// staleness is the bound of the near cache of these tests' processes.
const staleness = "100ms"

// credentials is where verify looks for tokens, as deploy/ expects it.
const credentials = "bearer,x-session-token,cookie:session_token"

// world is one gateway with all that it needs: an application behind it, and Cloakroom with a Redis to ask. Between them
// are proxies that can fail.
type world struct {
	gateway gateway
	addr    string // where the gateway listens
	app     *application

	ours   *cloakroom // whom the gateway asks, over network
	other  *cloakroom // another process on the same Redis, which fails never
	verify *redistest.Proxy
	redis  *redistest.Proxy // between ours and Redis
}

// newWorld starts g and what it needs. Without a g the test starts gateways itself. flags are for the Cloakroom that it asks.
func newWorld(t *testing.T, g gateway, flags ...string) *world {
	t.Helper()
	w := &world{gateway: g, app: startApplication(t)}
	server := redistest.Start(t)
	w.redis = redistest.NewProxy(t, server.Addr)
	w.ours = startCloakroom(t, w.redis.Addr, append([]string{
		"--verify-credentials", credentials, "--near-cache-staleness", staleness,
		"--verify-policy", "strict=factors:webAuthN", "--verify-policy", "lax=factors:password",
		"--verify-default-policy", "lax",
	}, flags...)...)
	w.other = startCloakroom(t, server.Addr)
	asked := w.ours.verify
	if _, ok := g.(envoyGRPC); ok {
		asked = w.ours.check
	}
	w.verify = redistest.NewProxy(t, asked)
	if g != nil {
		w.addr = g.Start(t, w.verify.Addr, w.app.addr)
	}
	w.app.take() // what looked whether the gateway is there
	return w
}

// asks asks verify itself, without a gateway, and returns the status.
func (w *world) asks(t *testing.T, r request) int {
	t.Helper()
	response, _ := send(t, w.ours.verify, r)
	return response.StatusCode
}

// recovered waits until verify knows v again, after a fault has ended.
func (w *world) recovered(t *testing.T, v *visitor) {
	t.Helper()
	eventually.Holds(t, "verify recovers", func() bool { return w.asks(t, request{}.bearer(v)) == http.StatusOK })
}

// send sends r to the gateway, and again if it has given up on verify, which may happen on a machine with other work to do.
// It returns what came of it, and what the application saw.
func (w *world) send(t *testing.T, r request) (*http.Response, string, []*seen) {
	t.Helper()
	for try := 1; ; try++ {
		response, body := send(t, w.addr, r)
		reached := w.app.take()
		if gaveUp := w.gateway.Status(late); response.StatusCode == http.StatusOK || response.StatusCode != gaveUp || len(reached) != 0 || try == 5 {
			return response, body, reached
		}
	}
}
