package httpapi

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/internal/observed"
	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
	"github.com/prometheus/client_golang/prometheus"
)

// consoleCall is a call of the API key of that name, by a browser elsewhere.
func (f *fixture) consoleCall(as string) *ConsoleCall {
	c, _ := f.server.Callers.ByKey([]byte(f.secret[as]))
	return &ConsoleCall{Caller: c, Remote: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 4321}}
}

// answers makes a call with a body or the ID of a session, and fails the test unless it is answered with status.
func (f *fixture) answers(status int, by func(*ConsoleCall) *ConsoleAnswer, as, session, body string) string {
	f.t.Helper()
	q := f.consoleCall(as)
	q.Session, q.Body = session, []byte(body)
	a := by(q)
	if a.Status != status {
		f.t.Fatalf("as %q, %s%s: got %d %s, want %d", as, session, body, a.Status, a.Body, status)
	}
	return string(a.Body)
}

// A call of the console is answered with the bytes that the API answers its caller with.
func TestConsole_AnswersAsTheAPIDoes(t *testing.T) {
	f := newFixture(t)
	id, _ := f.login(aliceVerified)
	other, _ := f.login(`"user":{"id":"bob","organizationId":"org-2"},"password":{}`)
	console := f.server.ForConsole(t.Context())
	for _, k := range testKeys {
		for _, id := range []string{id, other, "none", "a b"} {
			want := f.do(k.Name, "GET", "/v2/sessions/"+strings.ReplaceAll(id, " ", "%20"), "")
			if got := f.answers(want.status, console.Get, k.Name, id, ""); got != want.body {
				t.Errorf("%s, Get %s: got %s, want %s", k.Name, id, got, want.body)
			}
		}
		for _, body := range []string{`{}`, ofUser("alice"), `{"query":{"limit":-1}}`, `{"query":{"limit":1001}}`, `{`, `{"explain":1}`, ``} {
			want := f.do(k.Name, "POST", "/v2/sessions/search", body)
			if got := f.answers(want.status, console.Search, k.Name, "", body); got != want.body {
				t.Errorf("%s, Search %s: got %s, want %s", k.Name, body, got, want.body)
			}
		}
		for _, body := range []string{`{"all":true,"dryRun":true}`, `{}`, `{"queries":[{}]}`} {
			want := f.do(k.Name, "POST", "/v2/sessions/revoke", body)
			if got := f.answers(want.status, console.Revoke, k.Name, "", body); got != want.body {
				t.Errorf("%s, Revoke %s: got %s, want %s", k.Name, body, got, want.body)
			}
		}
	}
	if got := f.answers(http.StatusOK, console.Revoke, "admin", "", ofUser("alice")); got != `{"revoked":"1"}` {
		t.Errorf("got %s", got)
	}
	f.want(http.StatusNotFound, "admin", "GET", "/v2/sessions/"+id, "")
	large := `{"queries":[` + strings.Repeat(" ", 256<<10) + `]}`
	f.answers(http.StatusRequestEntityTooLarge, console.Search, "admin", "", large)
}

// The key's limit holds, calls are counted as the console's, and a revocation is logged as the caller's.
func TestConsole_CountsAndLogs(t *testing.T) {
	registry := prometheus.NewRegistry()
	f := newFixture(t, func(s *setup) { s.config.Metrics = registry })
	console := f.server.ForConsole(t.Context())
	f.answers(http.StatusOK, console.Search, "admin", "", `{}`)
	f.answers(http.StatusNotFound, console.Get, "admin", "none", "")
	q := f.consoleCall("admin")
	q.Body, q.RequestID = []byte(`{"all":true}`), "from-the-page"
	if a := console.Revoke(q); a.Status != http.StatusOK || a.RequestID != "from-the-page" {
		t.Errorf("got %+v", a)
	}
	got := observed.Counts(t, registry)
	maps.DeleteFunc(got, func(name string, _ float64) bool { return !strings.HasPrefix(name, "cloakroom_http_requests_total") })
	if want := map[string]float64{
		"cloakroom_http_requests_total 200 console POST /v2/sessions/search": 1,
		"cloakroom_http_requests_total 404 console GET /v2/sessions/{id}":    1,
		"cloakroom_http_requests_total 200 console POST /v2/sessions/revoke": 1,
	}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if lines := f.linesOf("from-the-page"); len(lines) != 1 || !strings.Contains(lines[0], "call=RevokeSessions status=200") || !strings.Contains(lines[0], "audit=true caller=admin user_id=svc-admin") {
		t.Errorf("logged: %q", lines)
	}
	f.server.Callers.SetKeys(limitedKeys(t, f, threeOnce))
	for range 3 {
		f.answers(http.StatusOK, console.Search, "limited", "", `{}`)
	}
	q = f.consoleCall("limited")
	if a := console.Search(q); a.Status != http.StatusTooManyRequests || a.RetryAfter == "" {
		t.Errorf("got %+v", a)
	}
	f.want(http.StatusTooManyRequests, "limited", "GET", "/v2/sessions/x", "") // it is the same limit
}

// A page that is told how far a revocation is hears of a number that grows up to the answer's, whoever else asks meanwhile.
func TestConsole_RevokeTellsProgress(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		f := newFixture(t, withShards(shards))
		for i := range 600 {
			f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/s"+strconv.Itoa(i), `{"session":{"factors":{"user":{"id":"u"}}}}`)
		}
		console := f.server.ForConsole(t.Context())
		f.toldOf(console, `{"all":true,"dryRun":true}`, 600)
		f.toldOf(console, ofUser("u"), 600)
	})
}

// toldOf revokes, and fails the test unless its progress is told more than once, and ends with want, as the answer does. What is told
// is handed on to also.
func (f *fixture) toldOf(console *ConsoleCalls, body string, want uint64, also ...func(revoked uint64)) {
	f.t.Helper()
	var told []uint64
	q := f.consoleCall("admin")
	q.Body, q.Progress = []byte(body), func(revoked uint64) {
		told = append(told, revoked)
		for _, tell := range also {
			tell(revoked)
		}
	}
	a := console.Revoke(q)
	if string(a.Body) != fmt.Sprintf(`{"revoked":"%d"}`, want) {
		f.t.Fatalf("%s: got %d %s, want %d", body, a.Status, a.Body, want)
	}
	distinct := map[uint64]bool{}
	for i, n := range told {
		distinct[n] = true
		if i > 0 && n < told[i-1] {
			f.t.Errorf("%s: told %d after %d", body, n, told[i-1])
		}
	}
	if len(distinct) < 3 || told[len(told)-1] != want {
		f.t.Errorf("%s: told %v, want up to %d", body, told, want)
	}
}

// So it is where the sessions live in a ZITADEL, also where that is away for a while, and for a list of IDs.
func TestConsole_RevokeTellsProgressOfZITADEL(t *testing.T) {
	t.Parallel()
	f := newUpstreamFixture(t)
	console := f.server.ForConsole(t.Context())
	f.elsewhere(150, zitadeltest.Session{UserID: f.user.ID, Password: true})
	away := sync.OnceFunc(func() {
		f.zitadel.Fail("ListSessions", 1, zitadeltest.Failure{Status: http.StatusServiceUnavailable})
	})
	f.toldOf(console, ofUser(f.user.ID), 150, func(revoked uint64) {
		if revoked > 0 {
			away() // when the next page is asked for
		}
	})
	ids, _ := json.Marshal(f.elsewhere(30, zitadeltest.Session{UserID: f.user.ID, Password: true}))
	f.toldOf(console, `{"queries":[{"idsQuery":{"ids":`+string(ids)+`}}]}`, 30)
}

// A key that is taken out of the keys file is found by its hash no longer; while it is there, with what the file says of it now.
func TestConsole_KeyByHash(t *testing.T) {
	f := newFixture(t)
	callers := f.server.Callers
	c, hash := callers.ByKey([]byte(f.secret["org"]))
	if c == nil || c.Name != "org" || hash != sha256.Sum256([]byte(f.secret["org"])) || callers.ByHash(hash) != c {
		t.Fatalf("got %+v %x", c, hash)
	}
	for _, secret := range []string{"", "ck_", f.secret["org"] + "x", string(hash[:])} {
		if c, hash := callers.ByKey([]byte(secret)); c != nil || callers.ByHash(hash) != nil {
			t.Errorf("%q is taken for the key of %+v", secret, c)
		}
	}
	if callers.Anonymous() != nil {
		t.Error("nobody may be anonymous, and somebody is")
	}
	var changing sync.WaitGroup
	for range 2 {
		changing.Go(func() {
			for range 100 {
				callers.SetKeys(f.apiKeys)
				if c := callers.ByHash(hash); c == nil || c.Name != "org" {
					t.Errorf("got %+v", c)
				}
			}
		})
	}
	changing.Wait()
	keys, err := caller.ParseAPIKeys(fmt.Appendf(nil, "keys: [{name: renamed, userId: u, sha256: '%x'}]", hash))
	if err != nil {
		t.Fatal(err)
	}
	callers.SetKeys(keys)
	if c := callers.ByHash(hash); c == nil || c.Name != "renamed" || c.Read.All {
		t.Errorf("got %+v", c)
	}
	callers.SetKeys(nil)
	if c := callers.ByHash(hash); c != nil {
		t.Errorf("a key that is gone is %+v", c)
	}
}
