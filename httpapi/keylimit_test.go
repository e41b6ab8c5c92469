package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/observed"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// limitedKeys is a keys file whose second key has a limit of its own.
func limitedKeys(t *testing.T, f *fixture, limit string) *caller.APIKeys {
	t.Helper()
	var text strings.Builder
	text.WriteString("keys:\n")
	for _, name := range []string{"plain", "limited", "free"} {
		if f.secret[name] == "" {
			f.secret[name], f.secret["hash of "+name] = caller.NewAPIKeySecret()
		}
		fmt.Fprintf(&text, "  - name: %s\n    userId: u\n    permissions: [session.read, session.write]\n    sha256: %s\n", name, f.secret["hash of "+name])
		switch name {
		case "limited":
			text.WriteString(limit)
		case "free":
			text.WriteString("    rate: 0\n")
		}
	}
	k, err := caller.ParseAPIKeys([]byte(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

const threeOnce = "    rate: 0.001\n    burst: 3\n" // no test lasts until the fourth

func TestKeyLimit(t *testing.T) {
	registry := prometheus.NewRegistry()
	f := newFixture(t, func(s *setup) { s.config.Metrics = registry })
	f.server.Callers.SetKeys(limitedKeys(t, f, threeOnce))
	for range 3 {
		f.want(http.StatusNotFound, "limited", "GET", "/v2/sessions/x", "")
	}
	r := f.want(http.StatusTooManyRequests, "limited", "GET", "/v2/sessions/x", "")
	if want := `{"code":8,"message":"the API key is above its limit of 0.001 requests a second, with bursts of 3"}`; r.body != want {
		t.Errorf("got %s, want %s", r.body, want)
	}
	if after := r.header.Get("Retry-After"); len(after) < 3 || strings.Contains(after, ".") { // up to 1000
		t.Errorf("Retry-After is %q", after)
	}
	r = f.want(http.StatusTooManyRequests, "limited", "POST", "/zitadel.session.v2.SessionService/GetSession", `{"sessionId":"x"}`, "Content-Type", "application/json", "Connect-Protocol-Version", "1")
	if !strings.Contains(r.body, `"code":"resource_exhausted"`) || r.header.Get("Retry-After") == "" {
		t.Errorf("got %s, %v", r.body, r.header)
	}
	if r.closed {
		t.Error("a refusal with a short body ends the connection")
	}
	// It is a refused write, and a long body is not read.
	if r = f.want(http.StatusTooManyRequests, "limited", "POST", "/v2/sessions", strings.Repeat("x", shortBody+1)); !r.closed {
		t.Error("a long body that is not read leaves the connection open")
	}
	for c, b := range f.server.budgets {
		if b != nil && b.AtWork() != 0 {
			t.Errorf("%d at work of class %s", b.AtWork(), classNames[c])
		}
	}
	eventually.Holds(t, "the log", func() bool { return strings.Contains(f.logs.String(), `msg="write refused"`) })
	if !strings.Contains(f.logs.String(), "status=429 took_ms=") {
		t.Errorf("the log has no refused write:\n%s", f.logs)
	}
	for range 10 { // others are not bound
		f.want(http.StatusNotFound, "plain", "GET", "/v2/sessions/x", "")
		f.want(http.StatusNotFound, "free", "GET", "/v2/sessions/x", "")
	}
	count := func(want string) {
		t.Helper()
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "cloakroom_key_limited_requests_total"); err != nil {
			t.Error(err)
		}
	}
	const head = "# HELP cloakroom_key_limited_requests_total Requests refused because their API key was above its rate, by the key's name.\n# TYPE cloakroom_key_limited_requests_total counter\n"
	count(head + "cloakroom_key_limited_requests_total{key=\"limited\"} 3\n")

	f.server.Callers.SetKeys(limitedKeys(t, f, threeOnce)) // a reload
	f.want(http.StatusTooManyRequests, "limited", "GET", "/v2/sessions/x", "")
	count(head + "cloakroom_key_limited_requests_total{key=\"limited\"} 4\n")
	f.server.Callers.SetKeys(limitedKeys(t, f, "    rate: 0.001\n    burst: 1\n")) // a new limit
	f.want(http.StatusNotFound, "limited", "GET", "/v2/sessions/x", "")
	f.want(http.StatusTooManyRequests, "limited", "GET", "/v2/sessions/x", "")
	f.server.Callers.SetKeys(limitedKeys(t, f, "")) // none
	f.want(http.StatusNotFound, "limited", "GET", "/v2/sessions/x", "")
	count("")
}

// The limit that all keys have holds for each of them alone, and not for other
// credentials.
func TestKeyLimitOfAllKeys(t *testing.T) {
	f := newFixture(t, func(s *setup) {
		s.config.KeyRate = caller.KeyRate{PerSecond: 0.001, Burst: 2}
		s.config.Anonymous = true
	})
	f.server.Callers.SetKeys(limitedKeys(t, f, threeOnce))
	f.want(http.StatusNotFound, "plain", "GET", "/v2/sessions/x", "")
	f.want(http.StatusNotFound, "plain", "GET", "/v2/sessions/x", "")
	f.want(http.StatusTooManyRequests, "plain", "GET", "/v2/sessions/x", "")
	for range 5 {
		f.want(http.StatusNotFound, "free", "GET", "/v2/sessions/x", "")
		f.want(http.StatusNotFound, "", "GET", "/v2/sessions/x", "")
		f.want(http.StatusUnauthorized, "no-key", "GET", "/v2/sessions/x", "")
	}
	for range 3 {
		f.want(http.StatusNotFound, "limited", "GET", "/v2/sessions/x", "")
	}
	f.want(http.StatusTooManyRequests, "limited", "GET", "/v2/sessions/x", "")
}

// A caller that asks for leave to send its body pays once.
func TestKeyLimitWithExpect(t *testing.T) {
	f := newFixture(t)
	f.server.Callers.SetKeys(limitedKeys(t, f, "    rate: 0.001\n    burst: 2\n"))
	for range 2 {
		f.want(http.StatusCreated, "limited", "POST", "/v2/sessions", `{"checks":{"user":{"userId":"u"}}}`, "Expect", "100-continue")
	}
	f.want(http.StatusTooManyRequests, "limited", "POST", "/v2/sessions", `{"checks":{"user":{"userId":"u"}}}`, "Expect", "100-continue")
}

// Whatever a client expects, each of its requests is counted once, by the limit,
// the metrics and the log.
func TestKeyLimitWithAnyExpect(t *testing.T) {
	registry := prometheus.NewRegistry()
	f := newFixture(t, func(s *setup) { s.config.Metrics = registry })
	all, known := 0, 0
	for i, expect := range []string{"", "Expect: x\r\n", "Expect: 100-Continue\r\n", "Expect: x\r\nExpect: 100-continue\r\n", "Expect: 100-continue\r\n", "expect: 100-continue\r\nExpect: x\r\n", "Expect: 100-continue, x\r\n", "Expect:\r\n"} {
		burst := i + 2 // a new limit is a new bucket
		f.server.Callers.SetKeys(limitedKeys(t, f, fmt.Sprintf("    rate: 0.001\n    burst: %d\n", burst)))
		got := map[int]int{}
		for range burst + 3 {
			res, _ := f.raw("DELETE /v2/sessions/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Bearer "+f.secret["limited"]+"\r\n"+expect+"\r\n", false)
			got[res.StatusCode]++
			all++
		}
		known += burst + 3 - got[http.StatusExpectationFailed] // that is before credentials are looked at
		want := burst
		if got[http.StatusExpectationFailed] == burst+3 { // none is counted
			want = 0
		}
		if passed := got[http.StatusOK] + got[http.StatusForbidden] + got[http.StatusContinue]; passed != want {
			t.Errorf("%q: %d pass a limit of %d, want %d: %v", expect, passed, burst, want, got)
		}
	}
	eventually.Holds(t, "the log", func() bool { return f.logs.Count("audit=true") >= known })
	if n := f.logs.Count("audit=true"); n != known {
		t.Errorf("%d lines of the log for %d requests of a known caller", n, known)
	}
	counted := 0.
	for name, n := range observed.Counts(t, registry) {
		if strings.HasPrefix(name, "cloakroom_http_requests_total ") {
			counted += n
		}
	}
	if counted != float64(all) {
		t.Errorf("%v requests counted, of %d", counted, all)
	}
}

// New keys hold from the next request on; none is nobody.
func TestSetKeys(t *testing.T) {
	f := newFixture(t)
	f.want(200, "admin", "POST", "/v2/sessions/search", `{}`)
	f.server.Callers.SetKeys(nil)
	f.want(401, "admin", "POST", "/v2/sessions/search", `{}`)
	old := f.secret["admin"]
	f.server.Callers.SetKeys(f.keys())
	f.want(200, "admin", "POST", "/v2/sessions/search", `{}`)
	f.want(401, old, "POST", "/v2/sessions/search", `{}`)
}
