package httpapi

import (
	"net/http"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/oidc/oidctest"
	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
)

// Who is known here only is shown no session that our account may see, however the question is written: what cannot be read
// here, or names no session, is answered here.
func TestUpstream_OwnCallersGetOnlyWhatIsPermitted(t *testing.T) {
	f := newUpstreamFixture(t)
	issuer := f.trust(issuersFile)
	id, token := f.zitadel.CreateSession(zitadeltest.Session{UserID: f.user.ID, Password: true})
	long := strings.Repeat("1", 201)
	for _, version := range []string{"v2", "v2beta"} {
		rest, connect := "/"+version+"/sessions/", "/zitadel.session."+version+".SessionService/GetSession"
		for _, c := range []struct {
			method, path, body string
			status             int
		}{
			{"GET", rest + id, "", 403},
			{"GET", rest + id + "?sessionToken=wrong", "", 403},
			{"GET", rest + id + "?sessionToken=a&session_token=b", "", 400},
			{"GET", rest + id + "?session_token=" + token + "&session_token=" + token, "", 400},
			{"GET", rest + long, "", 404},
			{"GET", rest + "..%2F..%2Fauth%2Fv1%2Fusers%2Fme", "", 404},
			{"GET", rest + "%2e%2e%2f..%2fadmin%2fv1%2fevents", "", 404},
			{"POST", connect, `{"sessionId":"` + id + `"}`, 403},
			{"POST", connect, `{"sessionId":"` + id + `","x":1,"x":2}`, 400},
			{"POST", connect, `{"sessionId":"` + id + `","sessionId":"` + id + `"}`, 400},
			{"POST", connect, `{"sessionId":"` + id + `","session_id":"` + id + `"}`, 400},
			{"POST", connect, `{"sessionId":"` + id + `"} {}`, 400},
			{"POST", connect, `{"sessionId":"a/b"}`, 404},
			{"POST", connect, `{"sessionId":"` + long + `"}`, 404},
		} {
			for _, as := range []string{"nobody", "org", f.stranger(issuer)} {
				asked := f.zitadel.Count(zitadeltest.Any)
				r := f.do(as, c.method, c.path, c.body, "Content-Type", "application/json", "Connect-Protocol-Version", "1")
				if want := c.status; r.status != want && (want != 404 || r.status != 400) || strings.Contains(r.body, "creationDate") { // too long an ID is 400 in v2
					t.Errorf("%s: %s %s %s: got %d %s, want %d", as, c.method, c.path, c.body, r.status, r.body, want)
				}
				if c.status != 403 && f.zitadel.Count(zitadeltest.Any) != asked {
					t.Errorf("%s: %s %s %s was handed on", as, c.method, c.path, c.body)
				}
			}
		}
	}
}

// stranger is a token of an issuer for somebody who may see no session but its own.
func (f *fixture) stranger(issuer *oidctest.Issuer) string { return issuer.Sign(f.claims(issuer, nil)) }

// A session that cannot be kept is shown as ZITADEL has it, to who has its token or may see all, and to nobody else.
func TestUpstream_OwnCallersGetWhatCannotBeKept(t *testing.T) {
	f := newUpstreamFixture(t)
	large := []byte(strings.Repeat("x", 20<<10)) // above SessionBytes
	id, token := f.zitadel.CreateSession(zitadeltest.Session{UserID: f.user.ID, Password: true, Metadata: map[string][]byte{"large": large}})
	connect := func(token string) string {
		return `{"sessionId":"` + id + `","sessionToken":"` + token + `"}`
	}
	for _, c := range []struct {
		as, path, body string
		status         int
	}{
		{"admin", id, "", 200},
		{"admin", id + "?sessionToken=" + token, "", 200},
		{"nobody", id + "?sessionToken=" + token, "", 200},
		{"nobody", id + "?session_token=" + token, "", 200},
		{"nobody", id + "?sessionToken=" + token + "&sessionToken=wrong", "", 400},
		{"nobody", id + "?sessionToken=" + token + "&session_token=" + token, "", 400},
		{"nobody", id + "?sessionToken=wrong", "", 403},
		{"admin", id + "?sessionToken=wrong", "", 403},
		{"nobody", id, "", 403},
		{"org", id, "", 403},
		{"nobody", "", connect(token), 200},
		{"nobody", "", connect("wrong"), 403},
		{"nobody", "", `{"sessionId":"` + id + `"}`, 403},
		{"nobody", "", `{"sessionId":"` + id + `","sessionToken":"` + token + `","session_token":"x"}`, 400},
	} {
		var r reply
		if c.body == "" {
			r = f.do(c.as, "GET", "/v2/sessions/"+c.path, "")
		} else {
			r = f.connect(c.as, "v2", "GetSession", c.body)
		}
		if r.status != c.status || (c.status == http.StatusOK) != (strings.Contains(r.body, "large") && strings.Contains(r.body, id)) {
			t.Errorf("%s: %s%s: got %d %.200s, want %d", c.as, c.path, c.body, r.status, r.body, c.status)
		}
	}
	want := f.do(f.zitadel.Login.Token, "GET", "/v2/sessions/"+id, "")
	if got := f.do("admin", "GET", "/v2/sessions/"+id, ""); canonical(t, got.body) != canonical(t, want.body) {
		t.Errorf("got %.300s, ZITADEL says %.300s", got.body, want.body)
	}
	f.zitadel.Stop()
	f.want(http.StatusServiceUnavailable, "admin", "GET", "/v2/sessions/"+id, "")
}

// What is asked with our account goes to the path that was meant here.
func TestUpstream_OwnCallersListByOurPath(t *testing.T) {
	f := newUpstreamFixture(t)
	f.zitadel.CreateSession(zitadeltest.Session{UserID: f.user.ID, Password: true})
	for _, path := range []string{"/v2/sessions/search", "/v2//sessions/search", "/v2/sessions/sear%63h", "/v2/sessions%2Fsearch", "/v2/x/%2e%2e/sessions/search", "/v2/sessions/search?a=b;c"} {
		asked := f.zitadel.Count(zitadeltest.ListSessions)
		r := f.do("admin", "POST", path, `{}`, "Content-Type", "application/json")
		if n := f.zitadel.Count(zitadeltest.ListSessions) - asked; r.status == http.StatusOK && n != 1 || r.status != http.StatusOK && n != 0 {
			t.Errorf("%s: got %d %.200s, and ZITADEL was asked for %d lists", path, r.status, r.body, n)
		}
		if other := f.zitadel.Count(zitadeltest.Other); other != 0 {
			t.Fatalf("%s went elsewhere: got %d %.200s", path, r.status, r.body)
		}
	}
}
