package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
)

// linesOf are the lines of the log about a request, those of a bug or a read of
// the store left out.
func (f *fixture) linesOf(requestID string) (lines []string) {
	for line := range strings.Lines(f.logs.String()) {
		if strings.Contains(line, "request_id="+requestID+" ") && strings.Contains(line, " call=") {
			lines = append(lines, line)
		}
	}
	return lines
}

// write is how to ask each route that writes.
type write struct{ method, path, good, bad string }

// sessionOf is a session of the route's own: no ID comes back after its deletion.
func sessionOf(r *route) string {
	return strings.Trim(strings.NewReplacer("/", "-", "{", "", "}", "", " ", "").Replace(r.label()), "-")
}

// writeOf returns requests for a route: one that is good, and a body that is not.
func writeOf(r *route) write {
	w := write{r.method, strings.Replace(r.path, "{id}", sessionOf(r), 1), `{}`, `{"x":`}
	switch {
	case r.call == "CreateSession":
		w.good = `{"checks":{"user":{"userId":"u"}}}`
	case r.call == "SetSession":
		w.good = `{"metadata":{"a":"YQ=="}}`
	case r.call == "RevokeSessions":
		w.good = `{"all":true}`
	case r.call == "ImportSessions":
		w.good, w.bad = `{"id":"i"}`, `{"x":` // a broken line, which costs only itself
	}
	if r.connect() && r.call != "CreateSession" {
		w.good = strings.Replace(w.good, "{", `{"sessionId":"`+sessionOf(r)+`",`, 1)
		w.good = strings.Replace(w.good, ",}", "}", 1)
	}
	return w
}

// strangers are the outcomes of which it is not known who called, and the
// message of their line.
var strangers = map[string]string{
	"no credentials": "request refused", "bad credentials": "credential refused", "a type that is not read": "request refused", "another expectation": "request refused",
	"a bad logout token": "credential refused", "another type": "request refused",
}

// Every write of a known caller, done, refused or failed, is one audit line, with
// the status. A stranger's is a line that says where it came from, and may be left
// out.
func TestAudit_EveryWriteAndOutcome(t *testing.T) {
	f := newFixture(t)
	issuer := f.trust(issuersFile)
	n := 0
	check := func(r *route, outcome string, want func(status int) bool, as, body string, headers ...string) {
		t.Helper()
		n++
		id := fmt.Sprintf("audit-%d", n)
		w := writeOf(r)
		got := f.do(as, w.method, w.path, body, append(headers, "X-Request-Id", id)...)
		if !want(got.status) {
			t.Errorf("%s %s: got %d %s", r.label(), outcome, got.status, got.body)
		}
		if outcome == "shed" {
			if lines := f.linesOf(id); len(lines) != 0 {
				t.Errorf("%s %s: the lines are %q", r.label(), outcome, lines)
			}
			return
		}
		eventually.Holds(t, "a line of "+id, func() bool { return len(f.linesOf(id)) > 0 })
		lines := f.linesOf(id)
		if len(lines) != 1 || !strings.Contains(lines[0], fmt.Sprintf(" call=%s status=%d ", r.call, got.status)) {
			t.Errorf("%s %s, status %d: the lines are %q", r.label(), outcome, got.status, lines)
			return
		}
		audited := strings.Contains(lines[0], " "+AuditKey+"=true ")
		if message := strangers[outcome]; message != "" {
			if audited || !strings.Contains(lines[0], fmt.Sprintf("msg=%q %s=127.0.0.1 ", message, caller.ProxyKey)) {
				t.Errorf("%s %s: %s", r.label(), outcome, lines[0])
			}
			return
		}
		if !audited {
			t.Errorf("%s %s: no audit line: %s", r.label(), outcome, lines[0])
		}
		message := map[bool]string{true: "msg=write ", false: `msg="write refused"`}[got.status < 300]
		if got.status >= 500 {
			message = `msg="write failed"`
		}
		if !strings.Contains(lines[0], message) {
			t.Errorf("%s %s: %s", r.label(), outcome, lines[0])
		}
	}
	is := func(statuses ...int) func(int) bool {
		return func(got int) bool {
			for _, s := range statuses {
				if s == got {
					return true
				}
			}
			return false
		}
	}
	each := func(test func(r *route, w write)) {
		for i := range routes {
			if r := &routes[i]; r.writes && !r.open {
				test(r, writeOf(r))
			}
		}
	}
	kind := []string{"Content-Type", "application/json"}
	each(func(r *route, w write) {
		f.do("admin", "PUT", "/v2/sessions/"+sessionOf(r), `{}`)
		check(r, "done", is(200, 201), "admin", w.good, kind...)
		if r.call == "ImportSessions" {
			check(r, "in part", is(200), "admin", w.bad)
		} else if w.good != "" {
			check(r, "malformed", is(400), "admin", w.bad, kind...)
		}
		check(r, "no credentials", is(401), "", w.good, kind...)
		check(r, "bad credentials", is(401), "ck_wrong", w.good, kind...)
		check(r, "a type that is not read", is(415), "admin", w.good, "Content-Type", "text/html", "Content-Encoding", "gzip")
		check(r, "another expectation", is(417, 400), "admin", w.good, "Expect", "x")
		if r.call != "RevokeSessions" { // a caller without rights revokes nothing
			f.do("admin", "PUT", "/v2/sessions/"+sessionOf(r), `{"sequence":"99"}`)
			check(r, "denied", is(403), "nobody", w.good, kind...)
		}
	})
	put := &routes[0]
	for i := range routes {
		if routes[i].call == "PutSession" {
			put = &routes[i]
		}
	}
	check(put, "precondition", is(412), "admin", `{}`, "If-Match", `"77"`)
	check(put, "stale", is(409), "admin", `{"sequence":"1"}`)
	for i := range routes {
		if r := &routes[i]; r.open && r.writes {
			form := func(changes map[string]any) string { return "logout_token=" + f.logoutToken(issuer, changes) }
			check(r, "done", is(200), "", form(map[string]any{"sub": "u"}), "Content-Type", "application/x-www-form-urlencoded")
			check(r, "a bad logout token", is(400), "", "logout_token=x", "Content-Type", "application/x-www-form-urlencoded")
			check(r, "another type", is(400), "", "{}", kind...)
		}
	}
	f.server.Callers.SetKeys(limitedKeys(t, f, "    rate: 0.001\n    burst: 1\n"))
	f.do("limited", "GET", "/v2/sessions/s", "")
	each(func(r *route, w write) { check(r, "limited", is(429), "limited", w.good, kind...) })

	frees := []func(){}
	for c := classRead; c < classes; c++ {
		frees = append(frees, f.occupy(c))
	}
	each(func(r *route, w write) { check(r, "shed", is(503), "free", w.good, kind...) })
	for _, free := range frees {
		free()
	}

	f.server.limit(func(l *limits) { l.patience = 0 })
	f.proxy.Refuse(true)
	f.proxy.CutAll()
	each(func(r *route, w write) { check(r, "store away", is(503), "plain", w.good, kind...) })
}

// What a request causes in the store is logged under its ID.
func TestAudit_EvictionHasTheRequestID(t *testing.T) {
	f := newFixture(t, func(s *setup) { s.store.MaxSessionsPerUser, s.store.EvictOldest = 1, true })
	for _, id := range []string{"req-1", "req-2"} {
		f.want(http.StatusCreated, "admin", "POST", "/v2/sessions", `{"checks":{"user":{"userId":"u"}}}`, "X-Request-Id", id)
	}
	if !strings.Contains(f.logs.String(), `msg="session evicted" audit=true`) {
		t.Errorf("the log is %s", f.logs)
	}
	c := &call{requestID: []byte("req-3")}
	if got := RequestIDOf(c.withRequestID(context.Background())); got != "req-3" || RequestIDOf(context.Background()) != "" {
		t.Errorf("got %q", got)
	}
	c.requestID[0] = 'x' // I8
}

func TestWhose(t *testing.T) {
	f := newFixture(t)
	var ids []string
	for i := range maxLoggedIDs + 2 {
		ids = append(ids, fmt.Sprintf(`"i%02d"`, i))
	}
	f.revoke("deleter", `{"queries":[{"idsQuery":{"ids":[`+strings.Join(ids, ",")+`]}},{"creatorQuery":{"id":"c\"\n"}},{"userAgentQuery":{"fingerprintId":"fp"}},`+
		`{"creationDateQuery":{"creationDate":"2026-01-01T00:00:00Z","method":"TIMESTAMP_QUERY_METHOD_GREATER_OR_EQUALS"}},`+
		`{"expirationDateQuery":{"expirationDate":"2027-01-01T00:00:00Z","method":"TIMESTAMP_QUERY_METHOD_LESS"}}],"exceptIds":["x"]}`)
	for _, want := range []string{
		`idsQuery \"i00\",\"i01\",`, `,\"i09\" and 2 more and creatorQuery \"c\\\"\\n\" and userAgentQuery \"fp\"`,
		` and creationDateQuery 2026-01-01T00:00:00Z..`, ` and expirationDateQuery ..2026-12-31T23:59:59.999999Z" except=1`,
	} {
		eventually.Holds(t, want, func() bool { return strings.Contains(f.logs.String(), want) })
	}
}
