package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/protocol"
	"github.com/cloakroom-dev/cloakroom/internal/observed"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"
)

// connect sends a request to a procedure of the session service.
func (f *fixture) connect(as, version, call, body string, headers ...string) reply {
	f.t.Helper()
	return f.do(as, "POST", "/zitadel.session."+version+".SessionService/"+call, body, append([]string{"Content-Type", contentTypeJSON}, headers...)...)
}

// twoWays sends the same calls by REST and by Connect, each to a session of its own.
type twoWays struct {
	*fixture
	version string
	ids     [2]string // of the sessions: by REST, by Connect
}

// both sends a call both ways and compares the answers, IDs and tokens aside.
func (w *twoWays) both(as, method, path, call, body string) {
	w.t.Helper()
	rest := w.do(as, method, "/"+w.version+"/sessions"+strings.ReplaceAll(path, "ID", w.ids[0]), body)
	connect := w.connect(as, w.version, call, withID(w.ids[1], body))
	var shown [2]string
	for i, r := range []reply{rest, connect} {
		if r.status/100 != 2 {
			w.t.Fatalf("%s: got %d %s", call, r.status, r.body)
		}
		if m := newID.FindStringSubmatch(r.body); m != nil {
			w.ids[i] = m[1]
		}
		shown[i] = newToken.ReplaceAllString(r.body, `"sessionToken":"TOKEN"`)
		if w.ids[i] != "" {
			shown[i] = strings.ReplaceAll(shown[i], w.ids[i], "ID")
		}
	}
	if shown[0] != shown[1] {
		w.t.Errorf("%s: REST answers\n%s\nConnect answers\n%s", call, shown[0], shown[1])
	}
}

// withID adds a session ID to a request.
func withID(id, body string) string {
	switch {
	case id == "":
		return body
	case strings.Trim(body, "{}") == "":
		return `{"sessionId":"` + id + `"}`
	}
	return `{"sessionId":"` + id + `",` + body[1:]
}

// A call is answered by Connect with the bytes that it is answered with by
// REST: the same sessions go in and come out, whichever way.
func TestConnect_AnswersAsREST(t *testing.T) {
	eachShards(t, func(t *testing.T, shards int) {
		for _, version := range []string{"v2", "v2beta"} {
			t.Run(version, func(t *testing.T) {
				f := newFixture(t, withShards(shards))
				w := &twoWays{fixture: f, version: version}
				w.both("admin", "POST", "/search", "ListSessions", "")
				w.both("admin", "POST", "", "CreateSession", `{"factors":{"user":{"id":"alice","displayName":"Älice \"A\""},"webAuthN":{}},`+
					`"metadata":{"b":"/+8=","a":""},"userAgent":{"fingerprintId":"fp-alice","header":{"accept":{"values":["*"]}}},"lifetime":"3600.5s"}`)
				w.both("writer", "PATCH", "/ID", "SetSession", `{"metadata":{"c":"Yw=="}}`)
				w.both("writer", "PATCH", "/ID", "SetSession", "")
				w.both("reader", "GET", "/ID", "GetSession", "")
				w.both("alice", "GET", "/ID", "GetSession", "")
				w.both("deleter", "DELETE", "/ID", "DeleteSession", "")
				w.both("deleter", "DELETE", "/ID", "DeleteSession", "")

				// The same session both ways, whichever way it came.
				w.both("admin", "POST", "", "CreateSession", `{"factors":{"user":{"id":"bob"}}}`)
				created := w.ids
				for _, id := range created {
					w.ids = [2]string{id, id}
					w.both("reader", "GET", "/ID", "GetSession", "")
				}
				w.ids = [2]string{}
				for _, body := range []string{`{}`, `{"queries":[{"userIdQuery":{"id":"bob"}}]}`, `{"query":{"limit":2,"asc":true}}`} {
					rest, connect := f.do("reader", "POST", "/"+version+"/sessions/search", body), f.connect("reader", version, "ListSessions", body)
					if rest.status != http.StatusOK || connect.status != http.StatusOK || rest.body != connect.body {
						t.Errorf("%s: REST answers %d\n%s\nConnect answers %d\n%s", body, rest.status, rest.body, connect.status, connect.body)
					}
					for _, id := range created {
						if !strings.Contains(rest.body, `"`+id+`"`) {
							t.Errorf("%s: %s is not in %s", body, id, rest.body)
						}
					}
				}
			})
		}
	})
}

// What golden files do not show: errors that take more than a request of text.
func TestConnect_OtherErrors(t *testing.T) {
	f := newFixture(t, func(s *setup) { s.config.MaxBodyBytes = 100 })
	r := f.connect("admin", "v2", "CreateSession", `{"metadata":{"k":"`+strings.Repeat("eHh4", 30)+`"}}`)
	if want := `{"code":"resource_exhausted","message":"request body too large: at most 100 bytes"}`; r.status != http.StatusTooManyRequests || r.body != want || !r.closed {
		t.Errorf("got %d %s, closed: %t", r.status, r.body, r.closed)
	}
	post := f.post("/zitadel.session.v2.SessionService/GetSession", "{", "Content-Type: application/json")
	res, body := f.raw(strings.Replace(post, "Content-Length: 1", "Content-Length: 9", 1), true)
	if want := `{"code":"invalid_argument","message":"the request body ended early"}`; res.StatusCode != http.StatusBadRequest || body != want || !res.Close {
		t.Errorf("got %d %s, closed: %t", res.StatusCode, body, res.Close)
	}
	local := newFixture(t, func(s *setup) { s.config.Anonymous = true })
	for _, header := range [][2]string{{"Host", "evil.example"}, {"Origin", "http://evil.example"}} {
		r := local.connect("", "v2", "ListSessions", `{}`, header[0], header[1])
		if r.status != http.StatusForbidden || !strings.HasPrefix(r.body, `{"code":"permission_denied","message":"without authentication `) {
			t.Errorf("%v: got %d %s", header, r.status, r.body)
		}
	}
	var c fasthttp.RequestCtx
	protocol.Connect.WriteError(&c, asAPIError(f.server.bug("oh", "request-1", "GetSession")))
	if got, want := string(c.Response.Body()), `{"code":"internal","message":"An internal error occurred: request request-1"}`; got != want || c.Response.StatusCode() != http.StatusInternalServerError {
		t.Errorf("got %d %s", c.Response.StatusCode(), got)
	}
}

// The caller's deadline counts where it is the earlier one. Once it is over
// nobody knows whether the store is there. (I2)
func TestConnect_Deadline(t *testing.T) {
	f := func(limit time.Duration, timeout, want string) {
		t.Helper()
		f := newFixture(t)
		created := f.want(http.StatusCreated, "admin", "POST", "/v2/sessions", `{"factors":{"user":{"id":"alice"},"password":{}}}`)
		token := newToken.FindStringSubmatch(created.body)[1]
		id := newID.FindStringSubmatch(created.body)[1]
		f.server.limit(func(l *limits) { l.request = limit })
		f.proxy.Stall(true)
		defer f.proxy.Stall(false)
		for _, c := range []struct{ as, call, body string }{
			{"admin", "GetSession", withID(id, "")},
			{"admin", "ListSessions", `{}`},
			{"admin", "CreateSession", `{}`},
			{"admin", "SetSession", withID(id, `{"metadata":{"k":"dg=="}}`)},
			{"admin", "DeleteSession", withID(id, "")},
			{token, "GetSession", withID(id, "")}, // the credential is asked for
		} {
			r := f.connect(c.as, "v2", c.call, c.body, "Connect-Timeout-Ms", timeout)
			var e struct{ Code string }
			if err := json.Unmarshal([]byte(r.body), &e); err != nil || e.Code != want {
				t.Errorf("%s, %s of %s: got %d %s, want %s", c.call, timeout, limit, r.status, r.body, want)
			}
		}
		if ours := strings.Contains(f.logs.String(), "level=ERROR"); ours != (want == "unavailable") {
			t.Errorf("with %s of %s the log has\n%s", timeout, limit, f.logs)
		}
		if writes := f.logs.Count("msg=\"write failed\""); want == "deadline_exceeded" && writes != 3 {
			t.Errorf("the log has %d writes that may have been done:\n%s", writes, f.logs)
		}
	}
	f(time.Hour, "50", "deadline_exceeded")
	f(50*time.Millisecond, "9999999999", "unavailable")
}

func TestConnect_NearHitAllocations(t *testing.T) {
	f := newFixture(t, withNear)
	requests := nearRequests(f)
	startNear(f, requests["Search"])
	for name, most := range map[string]float64{"Connect Get": 4, "Connect Get with a deadline": 5, "Connect Search": 10} {
		if got := testing.AllocsPerRun(1000, requests[name]); got > most && !raceEnabled {
			t.Errorf("%s allocates %v times, want %v at most", name, got, most)
		}
	}
}

// Metrics and the log name the call, and nothing that the caller sends.
func TestConnect_MetricsAndLog(t *testing.T) {
	registry := prometheus.NewRegistry()
	f := newFixture(t, func(s *setup) { s.config.Metrics = registry })
	f.connect("admin", "v2", "GetSession", `{"sessionId":"1"}`)
	f.connect("admin", "v2beta", "GetSession", `{"sessionId":"2"}`)
	f.connect("admin", "v2", "NoSuchCall", `{}`)
	f.connect("writer", "v2", "SetSession", `{"sessionId":"3","sessionToken":"secret-token"}`)
	got := observed.Counts(t, registry)
	for _, name := range []string{"404 connect POST /zitadel.session.v2.SessionService/GetSession", "404 connect POST /zitadel.session.v2beta.SessionService/GetSession", "404 connect none"} {
		if got["cloakroom_http_requests_total "+name] != 1 {
			t.Errorf("%s is not counted: %v", name, got)
		}
	}
	if log := f.logs.String(); !strings.Contains(log, `msg="write refused"`) || !strings.Contains(log, "call=SetSession status=404") || strings.Contains(log, "secret-token") {
		t.Errorf("the log has\n%s", log)
	}
}
