package gateways

import (
	"net/http"
	"testing"
)

// A gateway that opens a connection per question costs more than the question. Requests with bodies must not close them.
func TestKeepAlive_QuestionsShareConnections(t *testing.T) {
	forEach(t, gateways[:3], func(t *testing.T, g gateway) {
		w := newWorld(t, g)
		v := w.ours.login(t, "keep")
		w.passes(t, request{}.by(v), v)
		before := w.verify.Accepted()
		for range 20 {
			w.passes(t, request{}.by(v), v)
			w.passes(t, request{method: http.MethodPost, body: 10}.by(v), v)
			w.refuses(t, request{})
		}
		if more := w.verify.Accepted() - before; more > 10 {
			t.Errorf("60 questions opened %d connections", more)
		}
	})
}
