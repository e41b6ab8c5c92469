package httpapi

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/httpapi/protocol"
	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/observed"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/prometheus/client_golang/prometheus"
)

// few has one place for each class except the long ones.
func few(s *setup) { s.config.MaxInFlight = 1 }

// occupy takes all places of a class, and returns what gives them back.
func (f *fixture) occupy(c class) (free func()) {
	b := f.server.budgets[c]
	for range b.Limit {
		if !b.Enter() {
			f.t.Fatalf("no place for class %s", classNames[c])
		}
	}
	return func() {
		for range b.Limit {
			b.Leave()
		}
	}
}

// Each class has places of its own: one that has none left refuses at once, without Redis, in whatever form, and the
// others go on.
func TestShed_EachClassApart(t *testing.T) {
	f := newFixture(t, few, withVerify)
	_, token := f.login(aliceVerified)
	calls := []struct {
		class              class
		good               int
		as, do, path, body string
	}{
		{classRead, 404, "admin", "GET", "/v2/sessions/none", ""},
		{classRead, 404, "admin", "GET", "/v2beta/sessions/none", ""},
		{classRead, 404, "admin", "POST", "/zitadel.session.v2.SessionService/GetSession", `{"sessionId":"none"}`},
		{classRead, 200, token, "GET", "/verify", ""},
		{classSearch, 200, "admin", "POST", "/v2/sessions/search", "{}"},
		{classSearch, 200, "admin", "POST", "/zitadel.session.v2beta.SessionService/ListSessions", "{}"},
		{classWrite, 201, "admin", "POST", "/v2/sessions", "{}"},
		{classWrite, 404, "admin", "PATCH", "/v2/sessions/none", "{}"},
		{classWrite, 200, "admin", "DELETE", "/v2/sessions/none", ""},
		{classLong, 200, "admin", "POST", "/v2/sessions/revoke", `{"all":true,"dryRun":true}`},
		{classLong, 200, "admin", "POST", "/v2/sessions/import", ""},
		{classNone, 200, "", "GET", "/version", ""},
	}
	for full := classRead; full < classes; full++ {
		free := f.occupy(full)
		for _, c := range calls {
			want := c.good
			if c.class == full {
				want = http.StatusServiceUnavailable
				f.proxy.Stall(true) // a refused call does not wait for it
			}
			r := f.do(c.as, c.do, c.path, c.body, "Content-Type", contentTypeJSON)
			f.proxy.Stall(false)
			if r.status != want {
				t.Errorf("class %s full: %s %s: got %d %s, want %d", classNames[full], c.do, c.path, r.status, r.body, want)
			}
			if want != http.StatusServiceUnavailable {
				continue
			}
			if r.header.Get("Retry-After") != "1" || !strings.Contains(r.body, "too many requests at a time") || r.closed {
				t.Errorf("%s %s: Retry-After %q, closed %v: %s", c.do, c.path, r.header.Get("Retry-After"), r.closed, r.body)
			}
			switch {
			case strings.HasPrefix(c.path, protocol.ConnectPrefix):
				if !strings.HasPrefix(r.body, `{"code":"unavailable"`) {
					t.Errorf("%s: %s", c.path, r.body)
				}
			case c.path == "/verify":
				if reasonIn(r) != "overloaded" {
					t.Errorf("%s: %s", c.path, r.body)
				}
			case !strings.HasPrefix(r.body, `{"code":14,`):
				t.Errorf("%s: %s", c.path, r.body)
			}
		}
		free()
	}
	for _, c := range calls {
		f.want(c.good, c.as, c.do, c.path, c.body, "Content-Type", contentTypeJSON)
	}
	for c, b := range f.server.budgets {
		if b != nil && b.AtWork() != 0 {
			t.Errorf("%d at work of class %s", b.AtWork(), classNames[c])
		}
	}
}

// A verify that a copy answers needs no place.
func TestShed_CopiesAnswer(t *testing.T) {
	f := newNearFixture(t)
	_, token := f.login(aliceVerified)
	for held := false; !held; _, held = f.store.VerifyCopy(token) {
		f.want(http.StatusOK, token, "GET", "/verify", "")
	}
	defer f.occupy(classRead)()
	f.want(http.StatusOK, token, "GET", "/verify", "")
	f.want(http.StatusServiceUnavailable, token+"x", "GET", "/verify", "")
}

// A client that is slow to send its body has no place until the body is there.
func TestShed_SlowBodiesHoldNoPlace(t *testing.T) {
	const places, slow = 4, 12
	f := newFixture(t, func(s *setup) { s.config.MaxInFlight = 4 * places })
	request := f.post("/v2/sessions/search", `{"query":{}}`)
	cut := len(request) - 4
	var conns []net.Conn
	for range slow {
		conn, err := net.Dial("tcp", f.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, request[:cut]); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
		for range 5 {
			f.want(http.StatusOK, "admin", "POST", "/v2/sessions/search", "{}")
		}
	}
	for _, conn := range conns {
		if _, err := io.WriteString(conn, request[cut:]); err != nil {
			t.Fatal(err)
		}
		if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || res.StatusCode != http.StatusOK {
			t.Errorf("a slow one: %v, %v", res, err)
		}
	}
}

// Many more callers than places: every answer is the truth or 503, and all of it is
// counted. Redis is slow, so that callers pile up.
func TestShed_Flood(t *testing.T) {
	registry := prometheus.NewRegistry()
	const places, callers, each = 4, 48, 20
	f := newFixture(t, func(s *setup) {
		s.config.MaxInFlight, s.config.Metrics = places, registry
		s.limits.request = time.Minute // a machine with other work to do is no store that is away
	})
	id, _ := f.login(aliceVerified)
	f.proxy.Delay(2 * time.Millisecond)
	var good, shed atomic.Int64
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for range each {
				r, err := f.try("admin", "GET", "/v2/sessions/"+id, "")
				switch {
				case err == nil && r.status == http.StatusOK && strings.Contains(r.body, id):
					good.Add(1)
				case err == nil && r.status == http.StatusServiceUnavailable && strings.Contains(r.body, errShed.Text):
					shed.Add(1)
				default:
					t.Errorf("got %d %s, %v", r.status, r.body, err)
				}
			}
		})
	}
	group.Wait()
	if good.Load() < places || shed.Load() == 0 || good.Load()+shed.Load() != callers*each {
		t.Errorf("%d good, %d shed", good.Load(), shed.Load())
	}
	got := observed.Counts(t, registry)
	if n := got["cloakroom_shed_total read"]; n != float64(shed.Load()) {
		t.Errorf("counted %v, not %d", n, shed.Load())
	}
	if n := f.logs.Count("too many requests at a time"); n == 0 || int64(n) >= shed.Load() {
		t.Errorf("%d lines in the log for %d", n, shed.Load())
	}
	f.want(http.StatusOK, "admin", "GET", "/v2/sessions/"+id, "")
}

func TestShed_CostlySearches(t *testing.T) {
	// As the store hands it on.
	e := asAPIError(fmt.Errorf("%w: %w", session.ErrUnavailable, index.ErrBusy))
	if e != errCostly || e.Status() != http.StatusServiceUnavailable || e.Code != refusal.Unavailable || !isShed(e) {
		t.Errorf("got %+v", e)
	}
	if e := asAPIError(session.ErrUnavailable); e != errUnavailable || isShed(e) {
		t.Errorf("got %+v", e)
	}
	if _, err := New(Config{Store: new(cache.Store), MaxInFlight: -1}); err == nil || !strings.Contains(err.Error(), "MaxInFlight") {
		t.Errorf("got %v", err)
	}
	for n, want := range map[int][classes]int{
		1:    {1, 1, 1, 1, 12},
		1024: {1024, 1024, 256, 512, 16},
	} {
		for c := classRead; c < classes; c++ {
			if got := budgetOf(c, n); got != want[c] {
				t.Errorf("%d: %d for class %s, want %d", n, got, classNames[c], want[c])
			}
		}
	}
}

// Whatever the route, a Redis that says nothing is 503 in the route's time, or 504 in Connect's, and never "not found". (I2)
func TestI2_SilentRedisIsUnavailableOnEveryRoute(t *testing.T) {
	t.Parallel()
	f := newFixture(t, withVerify, func(s *setup) {
		s.limits.request, s.limits.patience, s.limits.verify = 100*time.Millisecond, 100*time.Millisecond, 50*time.Millisecond
	})
	id, token := f.login(aliceVerified)
	put := `{"creationDate":"2049-01-01T00:00:00Z","changeDate":"2049-01-01T00:00:00Z","sequence":"9","factors":{}}`
	f.proxy.Stall(true)
	defer f.proxy.Stall(false)
	asked := map[string]bool{}
	for _, r := range routes {
		if r.open {
			continue
		}
		body := map[string]string{
			"ListSessions": "{}", "CreateSession": "{}", "SetSession": `{"metadata":{"k":"dg=="}}`, "DeleteSession": "{}", "PutSession": put,
			"ImportSessions": `{"id":"i1",` + put[1:] + "\n", "RevokeSessions": `{"all":true}`,
		}[r.call]
		if r.connect() {
			if r.call != "ListSessions" && r.call != "CreateSession" {
				body = withID(id, cmp.Or(body, "{}"))
			}
		}
		if r.method == http.MethodGet {
			body = ""
		}
		for _, as := range []string{"admin", token} {
			got, err := f.try(as, r.method, strings.Replace(r.path, "{id}", id, 1), body, "Content-Type", contentTypeJSON)
			if err != nil || got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") != "1" {
				t.Errorf("%s %s: %d %s, %v", r.method, r.path, got.status, got.body, err)
			}
		}
		asked[r.call] = true
	}
	if len(asked) != 8 {
		t.Errorf("asked %v", asked)
	}
	f.want(http.StatusServiceUnavailable, token, "GET", "/verify", "")
}
