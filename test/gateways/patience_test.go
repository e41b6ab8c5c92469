package gateways

import (
	"net/http"
	"regexp"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
)

// While Redis is stalled, verify answers within the patience of a gateway, 200 ms for most: the recorder between sees the
// answer while the gateway still waits for it. On a machine with other work to do a test that asks once would fail now and
// then; so a few answers may be late.
const mayBeLate = 3

// patient is a world with a recorder before verify.
type patient struct {
	*world
	verify *recorder
	late   int
}

func newPatient(t *testing.T, g gateway, flags ...string) *patient {
	t.Helper()
	w := newWorld(t, g, flags...)
	p := &patient{world: w, verify: startRecorder(t, w.ours.verify)}
	w.addr = g.Start(t, p.verify.addr, w.app.addr)
	w.app.take()
	return p
}

// inTime sends r until verify answers in time, and returns what it and then the client was told, and what the application saw.
func (p *patient) inTime(t *testing.T, r request) (answer, status int, reached []*seen) {
	t.Helper()
	for {
		p.verify.take()
		response, _ := send(t, p.addr, r)
		reached = p.app.take()
		if passed := response.StatusCode == http.StatusOK; passed != (len(reached) == 1) {
			t.Fatalf("status %d, it reached the application %d times", response.StatusCode, len(reached))
		}
		if _, answers := p.verify.take(); len(answers) == 1 {
			return answers[0], response.StatusCode, reached
		}
		if p.late++; p.late > mayBeLate {
			t.Fatalf("verify was late %d times", p.late)
		}
	}
}

// copied waits until verify answers about v from a copy.
func (p *patient) copied(t *testing.T, v *visitor) {
	t.Helper()
	hits := func() string {
		return regexp.MustCompile(`(?m)^cloakroom_near_hits_total\{kind="session"\} .*$`).FindString((&replica{admin: p.ours.admin}).get("/metrics"))
	}
	before := hits()
	eventually.Holds(t, "verify answers from a copy", func() bool {
		return p.asks(t, request{}.bearer(v)) == http.StatusOK && hits() != before
	})
	p.passes(t, request{}.by(v), v)
}

func TestPatience_ClosedWhileRedisIsStalled(t *testing.T) {
	for _, g := range share(t, gateways) { // one after the other: their time counts
		t.Run(g.Name(), func(t *testing.T) {
			w := newPatient(t, g)
			known := w.ours.login(t, "known")
			w.copied(t, known)
			unknown := w.other.login(t, "unknown") // ours has no copy of it
			w.redis.Stall(true)

			answer, status, _ := w.inTime(t, request{}.by(unknown))
			if answer != http.StatusServiceUnavailable || status != g.Status(unavailable) {
				t.Errorf("without a copy: verify answered %d, the gateway %d", answer, status)
			}
			// A copy is good for as long as the bound, and then no more.
			refused := eventually.Within(patience, func() bool {
				answer, status, reached := w.inTime(t, request{}.by(known))
				if answer == http.StatusOK {
					w.passed(t, request{}, known, reached)
					return false
				}
				if answer != http.StatusServiceUnavailable || status != g.Status(unavailable) {
					t.Errorf("after the bound: verify answered %d, the gateway %d", answer, status)
				}
				return true
			})
			if !refused {
				t.Error("it is not refused")
			}
			w.redis.Stall(false)
			w.recovered(t, known)
			w.passes(t, request{}.by(unknown), unknown)
		})
	}
}

func TestPatience_StaleIfAllowedWhileRedisIsStalled(t *testing.T) {
	for _, g := range share(t, gateways) {
		t.Run(g.Name(), func(t *testing.T) {
			w := newPatient(t, g, "--stale-if-error", "30s")
			known, unknown := w.ours.login(t, "known"), w.other.login(t, "unknown")
			w.copied(t, known)
			w.redis.Stall(true)
			_, bodyOnly := g.(oathkeeper) // its headers come from the body, which has no age

			// It passes all the time, and after a while the application is told that what it knows is old.
			told := eventually.Within(patience, func() bool {
				answer, status, reached := w.inTime(t, request{}.by(known).with("X-Session-Stale: "+forged))
				if answer != http.StatusOK || status != http.StatusOK {
					t.Fatalf("verify answered %d, the gateway %d", answer, status)
				}
				ages := reached[0].identity()["x-session-stale"]
				if len(ages) > 1 || len(ages) == 1 && ages[0] == forged {
					t.Fatalf("the application saw the ages %q", ages)
				}
				return bodyOnly || len(ages) == 1 && ages[0] != ""
			})
			if !told {
				t.Error("the application is never told")
			}
			// What ours has no copy of, it does not let pass.
			if answer, status, _ := w.inTime(t, request{}.by(unknown)); answer != http.StatusServiceUnavailable || status != g.Status(unavailable) {
				t.Errorf("without a copy: verify answered %d, the gateway %d", answer, status)
			}
			w.redis.Stall(false)
		})
	}
}
