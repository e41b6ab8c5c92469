package console

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/httpapi/verify"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
)

func TestSignIn_SaysWhoMayWhat(t *testing.T) {
	f := newFixture(t, func(c *Config) {
		c.About.Policies, c.About.Replicas, c.About.StalenessSeconds = []verify.Asked{
			{Name: "admin", Asks: "factors totp", Default: true}, {Name: "both", Asks: "max_age 15m; organizations org-1, org-2"}, {Name: "ours", Asks: "organizations org-1"},
		}, 2, 0.5
	})
	b := f.signIn("org")
	want := `{"name":"org","userId":"svc-org","anonymous":false,"may":{"read":{"all":false,"orgs":["org-1"]},"write":{"all":false,"orgs":[]},"delete":{"all":false,"orgs":["org-1"]}},"endsAt":"…",` +
		`"idleSeconds":1800,"version":"v1.2","process":"host-1","zitadel":false,"stalenessSeconds":0.5,"replicas":2,"policies":[{"name":"admin","asks":"factors totp","default":true},` +
		`{"name":"both","asks":"max_age 15m; some organizations","default":false},{"name":"ours","asks":"some organizations","default":false}]}`
	me := b.want(200, "GET", "me", "")
	from, to := strings.Index(me.body, `"endsAt":"`)+10, strings.Index(me.body, `","idle`)
	if got := me.body[:from] + "…" + me.body[to:]; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if all := f.signIn("reader").want(200, "GET", "me", "").body; !strings.Contains(all, `"max_age 15m; organizations org-1, org-2"`) {
		t.Errorf("a key that sees all sessions is told %s", all)
	}
}

func TestSignIn_CookieIsKeptFromScriptsAndOtherSites(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	for secure, attributes := range map[string][]string{
		"false": {"HttpOnly", "SameSite=Strict", "path=/console/"},
		"true":  {"HttpOnly", "SameSite=Strict", "path=/console/", "secure"},
	} {
		r := b.want(200, "POST", "sign-in", `{"key":"`+f.secret["admin"]+`","secure":`+secure+`}`)
		parts := strings.Split(r.header.Get("Set-Cookie"), "; ")
		name, value, _ := strings.Cut(parts[0], "=")
		if name != f.console.cookie || len(value) != 43 {
			t.Errorf("got the cookie %s", parts[0])
		}
		got := parts[1:]
		slices.Sort(got)
		slices.Sort(attributes)
		if !slices.Equal(got, attributes) {
			t.Errorf("secure %s: got %q, want %q", secure, got, attributes)
		}
	}
}

// A server on another port of the host is sent the cookie by the browser: it opens nothing without the proof, which only the
// console's own origin has.
func TestSignIn_ACookieAloneIsNobody(t *testing.T) {
	f := newFixture(t)
	b, other := f.signIn("admin"), f.signIn("admin")
	for _, proof := range []string{"1", b.proof[:len(b.proof)-1], b.proof + "A", strings.ToUpper(b.proof), other.proof, strings.TrimPrefix(b.cookie, f.console.cookie+"=")} {
		for _, path := range []string{"me", "live", "revocations"} {
			b.want(401, "GET", path, "", "X-Console", proof)
		}
		b.want(401, "POST", "search", `{}`, "X-Console", proof)
		b.want(204, "POST", "sign-out", `{}`, "X-Console", proof) // which ends nothing
	}
	b.want(403, "GET", "me", "", "X-Console", "")
	b.want(401, "GET", "me", "", "Cookie", other.cookie)
	if r := b.want(200, "GET", "me", ""); strings.Contains(r.body, "proof") {
		t.Errorf("the proof can be asked for: %s", r.body)
	}
	f.browser().want(401, "GET", "me", "", "X-Console", b.proof)
}

func TestSignIn_RefusesWrongKeys(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	for _, body := range []string{`{"key":"ck_wrong"}`, `{"key":""}`, `{}`, `{"key":"` + strings.ToUpper(f.secret["admin"]) + `"}`} {
		r := b.want(401, "POST", "sign-in", body)
		if r.header.Get("Set-Cookie") != "" {
			t.Errorf("%s sets a cookie", body)
		}
		r.secured(t, body)
	}
	for _, body := range []string{`{"key":1}`, `{"key":"a","key":"b"}`, `{"pass":"a"}`, `[]`, `{`} {
		b.want(400, "POST", "sign-in", body)
	}
	if f.logs.Count("level=WARN msg=\""+caller.CredentialRefused+"\" proxy=127.0.0.1 request_id=") != 1 {
		t.Errorf("what could be a guess is not logged as the API does: %s", f.logs)
	}
	b.want(401, "GET", "me", "")
	b.want(401, "POST", "search", `{}`, "Authorization", "Bearer "+f.secret["admin"])
	b.want(401, "POST", "search", `{}`, "Cookie", f.console.cookie+"=")
	b.want(401, "POST", "search", `{}`, "Cookie", f.console.cookie+"="+strings.Repeat("A", 43))
}

// Wrong keys are limited, by the network they come from; a right key gets in meanwhile.
func TestSignIn_LimitsWrongKeysAlone(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	guess := func(from string) reply {
		return b.do("POST", "sign-in", `{"key":"ck_wrong"}`, "X-Forwarded-For", from)
	}
	refused := 0
	for range netBurst + 10 { // more than a second's would take longer than these
		if r := guess("192.0.2.1"); r.status == http.StatusTooManyRequests {
			refused++
			if r.header.Get("Retry-After") != "1" {
				t.Errorf("got %v", r.header)
			}
		}
	}
	if refused == 0 {
		t.Error("any number of keys may be tried")
	}
	if r := guess("192.0.2.2"); r.status != http.StatusUnauthorized {
		t.Errorf("another network is kept out: %d %s", r.status, r.body)
	}
	for range netBurst + 10 {
		b.want(200, "POST", "sign-in", `{"key":"`+f.secret["admin"]+`"}`, "X-Forwarded-For", "192.0.2.1")
	}
}

// With a key that several share, the log says from where each has come.
func TestSignIn_TheLogHasTheClient(t *testing.T) {
	f := newFixture(t)
	b := f.signIn("admin")
	f.logIn("alice", "org-1")
	from := []string{"X-Forwarded-For", "192.0.2.77"}
	b.want(200, "POST", "sign-in", `{"key":"`+f.secret["reader"]+`"}`, from...)
	b = f.signIn("admin")
	b.want(202, "POST", "revocations", `{"all":true}`, from...)
	eventually.Holds(t, "the revocation ends", func() bool {
		return !strings.Contains(b.want(200, "GET", "revocations", "").body, "running")
	})
	b.want(204, "POST", "sign-out", `{}`, from...)
	for _, message := range []string{"console sign-in", "console sign-out", "call=RevokeSessions"} {
		found := false
		for line := range strings.Lines(f.logs.String()) {
			found = found || strings.Contains(line, message) && strings.Contains(line, "client=192.0.2.77 client_net=192.0.2.77/32")
		}
		if !found {
			t.Errorf("no client is logged with %q: %s", message, f.logs)
		}
	}
}

func TestSignOut_EndsTheSession(t *testing.T) {
	f := newFixture(t)
	b, other := f.signIn("admin"), f.signIn("admin")
	r := b.want(204, "POST", "sign-out", `{}`)
	if cookie := r.header.Get("Set-Cookie"); !strings.HasPrefix(cookie, f.console.cookie+"=;") || !strings.Contains(cookie, "1970") && !strings.Contains(cookie, "2009") || r.body != "" {
		t.Errorf("got %s", cookie)
	}
	b.want(401, "GET", "me", "")
	b.want(204, "POST", "sign-out", `{}`)
	other.want(200, "GET", "me", "")
}

// Whoever signs in again in the same browser leaves no session behind that nobody can end.
func TestSignIn_EndsTheSessionBefore(t *testing.T) {
	f := newFixture(t)
	b := f.signIn("admin")
	b.want(200, "POST", "sign-in", `{"key":"`+f.secret["reader"]+`"}`)
	b.want(401, "GET", "me", "")
}

// A key that is taken out of the keys file ends its sessions at the next request; one whose permissions change has these.
func TestSignIn_FollowsTheKeysFile(t *testing.T) {
	f := newFixture(t)
	b, reader := f.signIn("admin"), f.signIn("reader")
	f.setKeys(caller.APIKey{Name: "reader", UserID: "svc-reader", Permissions: []string{"session.read@org-9"}})
	b.want(401, "POST", "search", `{}`)
	b.want(401, "GET", "revocations", "")
	me := decoded[struct{ May struct{ Read permission } }](t, reader.want(200, "GET", "me", ""))
	if me.May.Read.All || !slices.Equal(me.May.Read.Orgs, []string{"org-9"}) {
		t.Errorf("got %+v", me)
	}
	f.setKeys(testKeys...) // the same key comes back
	b.want(401, "GET", "me", "")
}

// Two port-forwards to one browser's localhost share its cookies.
func TestSignIn_TwoProcessesHaveTwoCookies(t *testing.T) {
	f, g := newFixture(t), newFixture(t)
	one, two := f.signIn("admin"), g.signIn("admin")
	if f.console.cookie == g.console.cookie {
		t.Fatalf("both are called %s", f.console.cookie)
	}
	both := one.cookie + "; " + two.cookie
	one.want(200, "GET", "me", "", "Cookie", both)
	two.want(200, "GET", "me", "", "Cookie", both)
	one.want(204, "POST", "sign-out", `{}`, "Cookie", both)
	two.want(200, "GET", "me", "", "Cookie", both)
	one.want(401, "GET", "me", "", "Cookie", both)
	// Nor is a cookie of one good for the other.
	value := strings.TrimPrefix(two.cookie, g.console.cookie)
	one.want(401, "GET", "me", "", "Cookie", f.console.cookie+value)
}
