package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/httpapi/verify"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
	"github.com/cloakroom-dev/cloakroom/upstream"
)

// upstreamFixture is a fixture before a double of ZITADEL.
type upstreamFixture struct {
	*fixture
	zitadel *zitadeltest.Server
	user    zitadeltest.User
}

const upstreamMaxAge = 30 * time.Second

// clientOf is a client of a ZITADEL with the token of an account.
func clientOf(t testing.TB, url, token string) *upstream.Client {
	t.Helper()
	credentials, err := upstream.ParseCredentials([]byte(token))
	if err != nil {
		t.Fatal(err)
	}
	client, err := upstream.New(upstream.Config{URL: url, Credentials: credentials, Queue: 100})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func newUpstreamFixture(t *testing.T, change ...func(*setup)) *upstreamFixture {
	t.Helper()
	z := zitadeltest.Start(t)
	client := clientOf(t, z.URL, z.Login.Token)
	f := newFixture(t, append([]func(*setup){withVerify, func(s *setup) {
		s.config.Upstream, s.config.UpstreamTimeout, s.config.PermissionAge = client, 5*time.Second, time.Minute
		s.config.Verify.Accepts, s.config.Verify.UpstreamTimeout = verify.AcceptSessions|verify.AcceptPairs, 5*time.Second
		s.store.RememberDeletions = 1000
		s.store.Upstream = &cache.Upstream{Ask: client.Session, UserOf: client.UserOf, SessionsOf: client.SessionsOf, Timeout: 5 * time.Second, MaxAge: upstreamMaxAge, MaxBytes: 16 << 10}
	}}, change...)...)
	t.Cleanup(func() { _ = f.store.Close() })
	f.clock.Store(int64(session.TimeOf(z.Now())))
	u := zitadeltest.User{ID: z.NewID(), Password: "Password1!"}
	z.AddUser(u)
	return &upstreamFixture{f, z, u}
}

// create makes a session with a password through the API, as the login client.
func (f *upstreamFixture) create() (id, token string) {
	f.t.Helper()
	r := f.want(http.StatusCreated, f.zitadel.Login.Token, "POST", "/v2/sessions",
		`{"checks":{"user":{"userId":"`+f.user.ID+`"},"password":{"password":"Password1!"}},"lifetime":"3600s"}`)
	return f.written(r)
}

func (f *upstreamFixture) written(r reply) (id, token string) {
	f.t.Helper()
	var got struct{ SessionID, SessionToken string }
	if err := json.Unmarshal([]byte(r.body), &got); err != nil || got.SessionToken == "" {
		f.t.Fatalf("%s: %v", r.body, err)
	}
	return got.SessionID, got.SessionToken
}

func (f *upstreamFixture) verifies(id, token string, status int, reason string) {
	f.t.Helper()
	r := f.do("", "GET", "/verify", "", "Authorization", "Bearer "+id+":"+token)
	if r.status != status || reasonIn(r) != reason {
		f.t.Errorf("got %d %q %s, want %d %q", r.status, reasonIn(r), r.body, status, reason)
	}
}

// A write through us is known at once, with its new token, and ZITADEL is not asked again within the max age.
func TestUpstream_WritesPassThrough(t *testing.T) {
	f := newUpstreamFixture(t)
	id, token := f.create()
	asked := f.zitadel.Count("GetSession")
	for range 3 {
		f.verifies(id, token, http.StatusOK, "")
		f.want(http.StatusOK, "admin", "GET", "/v2/sessions/"+id, "")
	}
	if got := f.zitadel.Count("GetSession"); got != asked {
		t.Errorf("ZITADEL was asked %d times for what was just written", got-asked)
	}
	r := f.want(http.StatusOK, f.zitadel.Login.Token, "PATCH", "/v2/sessions/"+id, `{"metadata":{"cart":"NDI="}}`)
	_, next := f.written(r)
	f.verifies(id, next, http.StatusOK, "")
	f.verifies(id, token, http.StatusUnauthorized, "wrong_token")
	if r := f.want(http.StatusOK, "admin", "GET", "/v2/sessions/"+id, ""); !strings.Contains(r.body, `"cart":"NDI="`) {
		t.Error(r.body)
	}
	f.want(http.StatusOK, f.zitadel.Login.Token, "DELETE", "/v2/sessions/"+id, "")
	f.verifies(id, next, http.StatusUnauthorized, "revoked")
	f.want(http.StatusNotFound, "admin", "GET", "/v2/sessions/"+id, "")
}

// A change at ZITADEL itself is seen within the max age.
func TestUpstream_ChangesAtZITADEL(t *testing.T) {
	f := newUpstreamFixture(t)
	id, token := f.create()
	f.verifies(id, token, http.StatusOK, "")
	f.zitadel.Terminate(id)
	f.verifies(id, token, http.StatusOK, "")
	f.advance(upstreamMaxAge)
	f.verifies(id, token, http.StatusUnauthorized, "not_found")
	id, token = f.create()
	f.zitadel.Lock(f.user.ID)
	f.advance(upstreamMaxAge)
	f.verifies(id, token, http.StatusUnauthorized, "not_found")
}

// Each answer to a caller of ZITADEL's is the one that it gives itself.
func TestUpstream_AnswersAreZITADELs(t *testing.T) {
	f := newUpstreamFixture(t)
	id, token := f.create()
	for _, c := range []struct{ as, method, path, body string }{
		{f.zitadel.Login.Token, "GET", "/v2/sessions/" + id, ""},
		{f.zitadel.Login.Token, "GET", "/v2/sessions/" + id + "?sessionToken=" + token, ""},
		{f.zitadel.Login.Token, "GET", "/v2/sessions/" + id + "?sessionToken=wrong", ""},
		{f.zitadel.Login.Token, "GET", "/v2/sessions/123", ""},
		{f.zitadel.Login.Token, "GET", "/v2/sessions/" + strings.Repeat("1", 201), ""},
		{f.zitadel.Nobody.Token, "GET", "/v2/sessions/" + id, ""},
		{"unknown", "GET", "/v2/sessions/" + id, ""},
		{f.zitadel.Login.Token, "POST", "/v2/sessions/search", `{"queries":[{"idsQuery":{"ids":["` + id + `"]}}]}`},
		{f.zitadel.Nobody.Token, "POST", "/v2beta/sessions/search", `{}`},
		{f.zitadel.Login.Token, "POST", "/zitadel.session.v2.SessionService/GetSession", `{"sessionId":"` + id + `"}`},
		{f.zitadel.Login.Token, "POST", "/zitadel.session.v2.SessionService/GetSession", `{"sessionId":"123"}`},
		{f.zitadel.Login.Token, "POST", "/v2/sessions", `{"checks":{"user":{"userId":"nobody"}}}`},
		{f.zitadel.Login.Token, "POST", "/v2/sessions", `{"checks":{"user":{"userId":"` + f.user.ID + `"},"password":{"password":"wrong"}}}`},
		{f.zitadel.Login.Token, "DELETE", "/v2/sessions/" + f.zitadel.NewID(), ""},
	} {
		direct := &fixture{t: t, url: f.zitadel.URL, client: f.client, secret: map[string]string{}}
		headers := []string{"Content-Type", "application/json"}
		want, got := direct.do(c.as, c.method, c.path, c.body, headers...), f.do(c.as, c.method, c.path, c.body, headers...)
		if got.status != want.status || canonical(t, got.body) != canonical(t, want.body) || got.header.Get("Content-Type") != want.header.Get("Content-Type") {
			t.Errorf("%s %s: got %d %s, want %d %s", c.method, c.path, got.status, got.body, want.status, want.body)
		}
		if cookies := got.header.Values("Set-Cookie"); len(cookies) > 0 {
			t.Errorf("%s %s sets cookies: %q", c.method, c.path, cookies)
		}
	}
}

// canonical is a body without what ZITADEL draws by chance, the spaces, and what counts attempts.
func canonical(t testing.TB, body string) string {
	t.Helper()
	var v any
	if json.Unmarshal([]byte(body), &v) != nil {
		return body
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{`"failedAttempts":`, `"timestamp":`} {
		if i := strings.Index(string(text), name); i >= 0 {
			end := i + strings.IndexAny(string(text[i+len(name):]), ",}") + len(name)
			text = append(append([]byte{}, text[:i]...), text[end:]...)
		}
	}
	return string(text)
}

// Our own credentials write nothing at ZITADEL but revocations, and nothing is stored here that it does not have.
func TestUpstream_OwnCredentialsWriteNothing(t *testing.T) {
	f := newUpstreamFixture(t)
	id, _ := f.create()
	for _, c := range []struct {
		status             int
		method, path, body string
	}{
		{http.StatusForbidden, "POST", "/v2/sessions", `{}`},
		{http.StatusForbidden, "PATCH", "/v2/sessions/" + id, `{}`},
		{http.StatusForbidden, "DELETE", "/v2/sessions/" + id, ""},
		{http.StatusConflict, "PUT", "/v2/sessions/" + id, `{}`},
		{http.StatusConflict, "POST", "/v2/sessions/import", ""},
	} {
		f.want(c.status, "admin", c.method, c.path, c.body)
	}
	f.want(http.StatusOK, "admin", "GET", "/v2/sessions/"+id, "")
	f.want(http.StatusForbidden, "writer", "GET", "/v2/sessions/"+id, "")
	f.want(http.StatusForbidden, "writer", "POST", "/v2/sessions/search", `{}`)
}

// A caller whom ZITADEL has shown a session is shown that version again without it, for a while; nobody else is, and
// a refusal is asked for each time.
func TestUpstream_Permissions(t *testing.T) {
	f := newUpstreamFixture(t)
	id, _ := f.create()
	get := func(as string, status int, asks bool) {
		t.Helper()
		before := f.zitadel.Count("GetSession")
		f.want(status, as, "GET", "/v2/sessions/"+id, "")
		if asked := f.zitadel.Count("GetSession") > before; asked != asks {
			t.Errorf("ZITADEL was asked: %v, want %v", asked, asks)
		}
	}
	get(f.zitadel.Login.Token, http.StatusOK, true)
	get(f.zitadel.Login.Token, http.StatusOK, false)
	nobody := f.zitadel.See(f.zitadel.Nobody.Token, id, "").Status
	get(f.zitadel.Nobody.Token, nobody, true)
	get(f.zitadel.Nobody.Token, nobody, true)
	get(f.zitadel.Admin.Token, http.StatusOK, true)
	f.want(http.StatusOK, f.zitadel.Admin.Token, "PATCH", "/v2/sessions/"+id, `{"metadata":{"a":"YQ=="}}`)
	get(f.zitadel.Login.Token, http.StatusOK, true) // another version
	get(f.zitadel.Login.Token, http.StatusOK, false)
}

// Without ZITADEL what is known answers exactly as long as was promised, and then nothing does. (I2)
func TestI2_UpstreamAway(t *testing.T) {
	f := newUpstreamFixture(t)
	id, token := f.create()
	f.zitadel.Stop()
	f.verifies(id, token, http.StatusOK, "")
	f.want(http.StatusServiceUnavailable, "admin", "GET", "/v2/sessions/123", "")
	f.want(http.StatusServiceUnavailable, f.zitadel.Login.Token, "POST", "/v2/sessions", `{}`)
	f.want(http.StatusServiceUnavailable, f.zitadel.Login.Token, "POST", "/v2/sessions/search", `{}`)
	f.advance(upstreamMaxAge - time.Microsecond)
	f.verifies(id, token, http.StatusOK, "")
	f.advance(time.Microsecond)
	f.verifies(id, token, http.StatusServiceUnavailable, "store_unavailable")
	f.want(http.StatusServiceUnavailable, "admin", "GET", "/v2/sessions/"+id, "")
	f.zitadel.Restart()
}

// A write that was cut off may have been carried out: then no copy from before it answers. (I4)
func TestI4_WriteThatWasCutOffAtUpstream(t *testing.T) {
	f := newUpstreamFixture(t)
	for _, status := range []int{0, http.StatusInternalServerError} {
		id, token := f.create()
		f.zitadel.Fail("DeleteSession", 1, zitadeltest.Failure{Status: status, Late: true, Cut: status == 0})
		if r := f.do(f.zitadel.Login.Token, "DELETE", "/v2/sessions/"+id, ""); r.status < http.StatusInternalServerError {
			t.Errorf("got %d %s", r.status, r.body)
		}
		f.verifies(id, token, http.StatusUnauthorized, "not_found")
	}
}
