package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/httpapi/verify"
	"github.com/cloakroom-dev/cloakroom/internal/observed"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/valyala/fasthttp"
)

// identityHeaders are those that an application believes.
var identityHeaders = []string{
	"X-Session-Id", "X-Session-User", "X-Session-Login", "X-Session-Org", "X-Session-Factors", "X-Session-Auth-Time", "X-Session-Expires",
}

// withVerify configures verify as most tests want it.
func withVerify(s *setup) {
	s.limits.verify = 20 * time.Second // a machine with other work to do is no store that is away
	password, _ := session.FactorNamed("password")
	webAuthN, _ := session.FactorNamed("webAuthN")
	s.config.Verify = verify.Config{
		Credentials: []verify.Credential{verify.CredentialBearer, verify.CredentialHeader, cookieCredential("session"), cookieCredential("__Host-other")},
		Policies: map[string]*verify.Policy{
			"lax":    {Factors: password},
			"strict": {Factors: password | webAuthN},
			"recent": {MaxAge: 10 * time.Minute},
			"org":    {Organizations: []string{"org-1", "org-2"}},
		},
	}
}

// inEarnest lets a verify take as long as it may.
func inEarnest(s *setup) { s.limits.verify = verify.DefaultTimeout }

// cookieCredential is the place of a cookie.
func cookieCredential(name string) verify.Credential {
	list, err := verify.ParseCredentials("cookie:" + name)
	if err != nil {
		panic(err)
	}
	return list[0]
}

// login creates a session with the given factors of a user, and returns its token.
func (f *fixture) login(factors string, more ...string) (id, token string) {
	f.t.Helper()
	r := f.want(http.StatusCreated, "admin", "POST", "/v2/sessions", `{"factors":{`+factors+`}`+strings.Join(more, "")+`}`)
	var got struct{ SessionID, SessionToken string }
	if err := json.Unmarshal([]byte(r.body), &got); err != nil {
		f.t.Fatal(err)
	}
	return got.SessionID, got.SessionToken
}

const (
	aliceFactor   = `"user":{"id":"alice","loginName":"alice@example.com","organizationId":"org-1"}`
	aliceVerified = aliceFactor + `,"password":{}`
)

// verifyListener serves the verify-only listener of f at network and address.
func (f *fixture) verifyListener(network, address string) net.Addr {
	f.t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.server.RunVerify(ctx, ln, 10*time.Second) }()
	f.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			f.t.Errorf("RunVerify: %v", err)
		}
	})
	return ln.Addr()
}

// rawExchange sends a request, as it is, and reads its answer and whether the
// connection ends with it.
func rawExchange(t testing.TB, addr net.Addr, request string) (res *http.Response, body string) {
	t.Helper()
	conn, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = io.WriteString(conn, request)
	}()
	method, _, _ := strings.Cut(request, " ")
	res, err = http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("no answer to %.80q: %v", request, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%.80q: %v", request, err)
	}
	conn.Close()
	<-written
	return res, string(b)
}

func reasonIn(r reply) string { return r.header.Get("X-Auth-Reason") }

func TestVerify_Good(t *testing.T) {
	f := newFixture(t, withVerify)
	id, token := f.login(`"user":{"id":"ålice","loginName":" Jörg %x,\"y\" ","organizationId":"org-1"},"password":{},"totp":{"verifiedAt":"2049-01-01T00:00:00Z"}`,
		`,"lifetime":"3600s"`, `,"metadata":{"tenant":"bm9yZHdpbmQ="}`)
	for _, credential := range [][]string{
		{"Authorization", "Bearer " + token},
		{"Authorization", "bearer   " + token},
		{"X-Session-Token", token},
		{"Cookie", "a=b; session=" + token + "; c=d"},
		{"Cookie", `session="` + token + `"`},
		{"Cookie", "__Host-other=" + token},
		{"Cookie", "xsession=1; session=" + token + "; session=" + token},
	} {
		r := f.want(http.StatusOK, "", "GET", "/verify", "", credential...)
		for name, want := range map[string]string{
			"X-Session-Id": id, "X-Session-User": "%C3%A5lice", "X-Session-Login": `%20J%C3%B6rg %25x,"y"%20`, "X-Session-Org": "org-1",
			"X-Session-Factors": "password,totp", "X-Session-Auth-Time": "2050-01-02T03:04:05Z", "X-Session-Expires": "2050-01-02T04:04:05Z",
			"Cache-Control": "no-store", "Content-Type": "application/json", "X-Auth-Reason": "", "X-Session-Stale": "",
		} {
			if got := r.header.Get(name); got != want {
				t.Errorf("%v: %s is %q, want %q", credential, name, got, want)
			}
		}
		if login, err := url.PathUnescape(r.header.Get("X-Session-Login")); err != nil || login != ` Jörg %x,"y" ` {
			t.Errorf("the login name is not given back: %q, %v", login, err)
		}
		want := `{"active":true,"subject":"ålice","sub":"ålice","id":"` + id + `","expires_at":"2050-01-02T04:04:05Z","authenticated_at":"2050-01-02T03:04:05Z",` +
			`"identity":{"id":"ålice"},"extra":{"session_id":"` + id + `","login_name":" Jörg %x,\"y\" ","organization_id":"org-1","factors":["password","totp"],` +
			`"auth_time":2524705445,"exp":2524709045}}`
		if r.body != want {
			t.Errorf("got  %s\nwant %s", r.body, want)
		}
	}
	for _, path := range []string{"/verify?session=x", "/verify/", "/verify/a/b%2Fc//d", "/verify/p/lax", "/verify/p/lax/", "/verify/p/lax/x", "/verify/p/lax?policy=strict", "/verify/p"} {
		f.want(http.StatusOK, token, "GET", path, "")
	}
	f.want(http.StatusNotFound, "admin", "GET", "/verifyx", "")
}

// Every identity header is there, also where nothing is known.
func TestVerify_UnknownIsEmpty(t *testing.T) {
	f := newFixture(t, withVerify)
	_, token := f.login(`"user":{"id":"u"},"password":{}`)
	r := f.want(http.StatusOK, token, "GET", "/verify", "")
	for _, name := range identityHeaders {
		if values := r.header.Values(name); len(values) != 1 {
			t.Errorf("%s is there %d times", name, len(values))
		}
	}
	for _, name := range []string{"X-Session-Login", "X-Session-Org", "X-Session-Expires"} {
		if got := r.header.Get(name); got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
	var body struct {
		Extra map[string]any
		Exp   any `json:"expires_at"`
	}
	if err := json.Unmarshal([]byte(r.body), &body); err != nil || body.Exp != nil || body.Extra["exp"] != nil || body.Extra["login_name"] != "" {
		t.Errorf("%s: %v", r.body, err)
	}
}

// However long the texts of a session are, the answer is short, and no header
// is cut in the middle.
func TestVerify_AnswerIsBounded(t *testing.T) {
	f := newFixture(t, withVerify, func(s *setup) { s.config.Verify.Metadata = []string{"k", "none", "binary"} })
	long := strings.Repeat("ß", 200)
	// A user whose IDs fit into no header is nobody to an application.
	_, token := f.login(fmt.Sprintf(`"user":{"id":%q},"password":{}`, long))
	f.want(http.StatusForbidden, token, "GET", "/verify", "")
	_, token = f.login(fmt.Sprintf(`"user":{"id":"u","organizationId":%q},"password":{}`, long))
	f.want(http.StatusForbidden, token, "GET", "/verify", "")
	for _, user := range []string{"u", strings.Repeat("u", 200), long[:340]} {
		_, token := f.login(fmt.Sprintf(`"user":{"id":%q,"loginName":%q,"organizationId":"org-1"},"password":{}`, user, long), `,"metadata":{"k":"dg==","binary":"/w=="}`)
		r := f.want(http.StatusOK, token, "GET", "/verify", "")
		var body struct {
			Active  bool
			Subject string
			Sub     string
			Extra   struct {
				SessionID string `json:"session_id"`
				Metadata  map[string]string
			}
		}
		if err := json.Unmarshal([]byte(r.body), &body); err != nil || !body.Active || body.Subject != user || body.Sub != user ||
			body.Extra.SessionID != r.header.Get("X-Session-Id") || len(r.body) > 1024 {
			t.Errorf("%d bytes: %s: %v", len(r.body), r.body, err)
		}
		if user == "u" && !maps.Equal(body.Extra.Metadata, map[string]string{"k": "v"}) {
			t.Errorf("metadata: %v", body.Extra.Metadata)
		}
		if got := r.header.Get("X-Session-Login"); got != "" { // 1,200 bytes, encoded
			t.Errorf("the login name is %q", got)
		}
		if got, err := url.PathUnescape(r.header.Get("X-Session-User")); err != nil || got != user {
			t.Errorf("the user is %q, %v", got, err)
		}
	}
}

func TestVerify_Reasons(t *testing.T) {
	eachShards(t, func(t *testing.T, shards int) {
		f := newFixture(t, withVerify, withShards(shards))
		check := func(status int, reason string, path string, headers ...string) reply {
			t.Helper()
			r := f.want(status, "", "GET", path, "", headers...)
			if reasonIn(r) != reason {
				t.Errorf("%v: the reason is %q, want %q", headers, reasonIn(r), reason)
			}
			var problem struct {
				Status int
				Reason string
			}
			if err := json.Unmarshal([]byte(r.body), &problem); err != nil || problem.Status != status || problem.Reason != reason || r.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%v: %s: %v", headers, r.body, err)
			}
			challenge := `Bearer realm="cloakroom", error="invalid_token"`
			if reason == "missing" {
				challenge = `Bearer realm="cloakroom"`
			}
			if got := r.header.Get("WWW-Authenticate"); status == 401 && got != challenge || status != 401 && got != "" {
				t.Errorf("%v: WWW-Authenticate: %q", headers, got)
			}
			for _, name := range identityHeaders {
				if r.header.Values(name) != nil {
					t.Errorf("%v: a refusal has %s", headers, name)
				}
			}
			if r.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%v: a refusal may be kept", headers)
			}
			return r
		}
		bearer := func(token string) []string { return []string{"Authorization", "Bearer " + token} }

		check(401, "missing", "/verify")
		check(401, "missing", "/verify", "Authorization", "Basic "+"YWxpY2U6c2VjcmV0")
		check(401, "missing", "/verify", "Cookie", "other=1; Session=x")
		for _, headers := range [][]string{
			bearer(""),
			{"Authorization", "Bearer"},
			bearer("a b"), bearer("a,b"), bearer(`a"b`), bearer("ä"), bearer(strings.Repeat("x", 4097)),
			{"X-Session-Token", ""},
			{"Cookie", "session="},
			{"Cookie", "session=a; session=b"},
			{"Cookie", "session=a\\b"},
		} {
			check(401, "malformed", "/verify", headers...)
		}
		check(401, "not_found", "/verify", bearer("1."+strings.Repeat("x", 43))...)
		check(401, "not_found", "/verify", bearer("somebody-elses")...)
		check(401, "not_found", "/verify", bearer(f.secret["admin"])...) // API keys never pass

		// What is present decides, also if what comes later would pass.
		id, token := f.login(aliceVerified, `,"lifetime":"60s"`)
		check(401, "malformed", "/verify", "Authorization", "Bearer a b", "X-Session-Token", token)
		check(401, "not_found", "/verify", "Authorization", "Bearer nobodys", "Cookie", "session="+token)
		check(401, "not_found", "/verify", "X-Session-Token", "nobodys", "Cookie", "session="+token)
		check(401, "not_found", "/verify", "Cookie", "__Host-other="+token+"; session=nobodys")
		f.want(200, "", "GET", "/verify", "", "Authorization", "Basic eA==", "X-Session-Token", token)
		f.want(200, "", "GET", "/verify", "", "Authorization", "Bearer "+token, "X-Session-Token", "nobodys", "Cookie", "session=x; session=y")

		// The token before this one.
		var set struct{ SessionToken string }
		if err := json.Unmarshal([]byte(f.want(200, "admin", "PATCH", "/v2/sessions/"+id, `{"metadata":{"a":"eA=="}}`).body), &set); err != nil {
			t.Fatal(err)
		}
		check(401, "wrong_token", "/verify", bearer(token)...)
		f.want(200, set.SessionToken, "GET", "/verify", "")
		// Its session has expired, and its entries are swept away.
		f.advance(time.Minute)
		check(401, "expired", "/verify", bearer(set.SessionToken)...)
		if _, err := f.store.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.redis.Client(t).Del(t.Context(), "x") // the connection is there
		check(401, "not_found", "/verify", bearer("2"+set.SessionToken)...)

		id, token = f.login(aliceVerified)
		f.want(200, token, "GET", "/verify", "")
		f.want(200, "admin", "DELETE", "/v2/sessions/"+id, "")
		check(401, "revoked", "/verify", bearer(token)...)

		// A user who has only typed a name.
		_, token = f.login(aliceFactor)
		check(401, "predicate", "/verify", bearer(token)...)

		_, token = f.login(aliceVerified)
		for path, status := range map[string]int{
			"/verify/p/lax": 200, "/verify/p/strict": 403, "/verify/p/strict/a": 403, "/verify/p/recent": 200, "/verify/p/org": 200,
			"/verify/p/": 403, "/verify/p/none": 403, "/verify/p/LAX": 403, "/verify/p/lax%2F": 403,
		} {
			if status == 200 {
				f.want(200, token, "GET", path, "")
			} else {
				check(403, "predicate", path, bearer(token)...)
			}
		}
		f.advance(10*time.Minute + time.Microsecond)
		check(403, "predicate", "/verify/p/recent", bearer(token)...)
		_, token = f.login(`"user":{"id":"bob","organizationId":"org-3"},"password":{},"webAuthN":{}`)
		f.want(200, token, "GET", "/verify/p/strict", "")
		check(403, "predicate", "/verify/p/org", bearer(token)...)
		_, token = f.login(`"user":{"id":"bob"},"password":{}`)
		check(403, "predicate", "/verify/p/org", bearer(token)...)

		f.proxy.Refuse(true)
		f.proxy.CutAll()
		r := check(503, "store_unavailable", "/verify", bearer(token)...) // I2
		if r.header.Get("Retry-After") != "1" {
			t.Errorf("Retry-After: %q", r.header.Get("Retry-After"))
		}
		f.proxy.Refuse(false)
	})
}

// While Redis is stalled the answer comes within the time that verify has, and
// says that it is not known. (I2)
func TestVerify_StalledRedis(t *testing.T) {
	f := newFixture(t, withVerify, inEarnest)
	_, token := f.login(aliceVerified)
	f.proxy.Stall(true)
	defer f.proxy.Stall(false)
	for _, timeout := range []string{"", "1", "50", "999999999999", "-1", "x"} {
		begin := time.Now()
		r := f.want(http.StatusServiceUnavailable, token, "GET", "/verify", "", "X-Envoy-Expected-Rq-Timeout-Ms", timeout)
		if reasonIn(r) != "store_unavailable" {
			t.Errorf("%q: %s", timeout, r.body)
		}
		t.Logf("asked for an answer within %q ms: %v", timeout, time.Since(begin))
	}
	if !strings.Contains(f.logs.String(), "the session store is unavailable") {
		t.Error("nothing is logged")
	}
}

func TestVerify_ReasonCanBeHidden(t *testing.T) {
	f := newFixture(t, withVerify, func(s *setup) { s.config.Verify.HideReason = true })
	id, token := f.login(aliceVerified)
	f.want(200, "admin", "DELETE", "/v2/sessions/"+id, "")
	r := f.want(401, token, "GET", "/verify", "")
	if reasonIn(r) != "" || r.body != `{"type":"about:blank","title":"Unauthorized","status":401}` {
		t.Errorf("%q %s", reasonIn(r), r.body)
	}
}

func TestVerify_AllowUnproven(t *testing.T) {
	f := newFixture(t, withVerify, func(s *setup) { s.config.Verify.AllowUnproven = true })
	_, token := f.login(aliceFactor)
	f.want(200, token, "GET", "/verify", "")
	r := f.want(201, "admin", "POST", "/v2/sessions", `{}`)
	var got struct{ SessionToken string }
	_ = json.Unmarshal([]byte(r.body), &got)
	f.want(401, got.SessionToken, "GET", "/verify", "") // nobody's
}

// Neither a token nor a path is logged. (I6)
func TestI6_VerifyLogsNoSecret(t *testing.T) {
	f := newFixture(t, withVerify)
	id, token := f.login(aliceVerified)
	f.want(200, token, "GET", "/verify/hunter2?hunter2", "")
	f.want(403, token, "GET", "/verify/p/hunter2", "")
	f.want(200, "admin", "DELETE", "/v2/sessions/"+id, "")
	f.want(401, token, "GET", "/verify/hunter2", "")
	f.want(401, "hunter2", "GET", "/verify", "")
	f.want(401, "", "GET", "/verify", "", "Cookie", "session=hunter2; session=hunter3")
	f.proxy.Refuse(true)
	f.proxy.CutAll()
	f.want(503, token, "GET", "/verify/hunter2", "")
	logs := f.logs.String()
	secret := token[strings.LastIndexByte(token, '.')+1:]
	if strings.Contains(logs, secret) || strings.Contains(logs, "hunter") {
		t.Errorf("a secret is logged:\n%s", logs)
	}
	for _, reason := range []string{"predicate", "revoked", "not_found", "malformed", "store_unavailable"} {
		if !strings.Contains(logs, "reason="+reason) {
			t.Errorf("%s is not logged:\n%s", reason, logs)
		}
	}
}

// While Redis is away, sessions that were known to be good pass for as long as
// is configured, and say how long ago that was.
func TestVerify_StaleIfError(t *testing.T) {
	t.Parallel()
	f := newFixture(t, withVerify, inEarnest, withNear, func(s *setup) {
		s.store.StaleIfError, s.store.NearStaleness = time.Hour, 500*time.Millisecond
	})
	requests := nearRequests(f)
	id, token := f.login(aliceVerified, `,"lifetime":"600s"`)
	_, never := f.login(aliceVerified)
	startNear(f, requests["Search"])
	// A copy is kept once what Redis has sent of the login has been applied.
	for hits := f.store.NearStats().Sessions.Hits; f.store.NearStats().Sessions.Hits == hits; {
		f.want(200, token, "GET", "/verify", "")
	}
	f.proxy.Stall(true)
	defer f.proxy.Stall(false)
	// Soon copies are not proven any more.
	r := f.want(200, token, "GET", "/verify", "")
	for r.header.Get("X-Session-Stale") == "" {
		r = f.want(200, token, "GET", "/verify", "")
	}
	if !regexp.MustCompile(`^[0-9]+s$`).MatchString(r.header.Get("X-Session-Stale")) || r.header.Get("X-Session-User") != "alice" {
		t.Errorf("%v", r.header)
	}
	f.want(503, "admin", "GET", "/v2/sessions/"+id, "") // only verify answers by them
	f.want(503, never, "GET", "/verify", "")            // never seen
	f.want(503, token[:len(token)-1]+"!", "GET", "/verify", "")
	f.want(403, token, "GET", "/verify/p/strict", "")
	f.advance(10 * time.Minute)
	f.want(503, token, "GET", "/verify", "") // it is due (I1)
	f.advance(-10 * time.Minute)
	f.want(200, token, "GET", "/verify", "")
}

// requestFrom is a request of a peer, with one header.
func requestFrom(peer net.Addr, name, value string) *fasthttp.RequestCtx {
	ctx := new(fasthttp.RequestCtx)
	ctx.Init(&fasthttp.Request{}, peer, nil)
	ctx.Request.Header.Set(name, value)
	return ctx
}

// A bug of ours lets nobody pass, and ends nothing but its request. (I2)
func TestI2_VerifySurvivesABug(t *testing.T) {
	logs := &observed.Log{}
	broken, err := New(Config{Store: new(cache.Store), Logger: slog.New(slog.NewTextHandler(logs, nil))})
	if err != nil {
		t.Fatal(err)
	}
	token, _ := session.NewToken("1")
	ctx := requestFrom(&net.UnixAddr{}, "Authorization", "Bearer "+token)
	broken.verify.Answer(t.Context(), ctx, nil, true)
	h := &ctx.Response.Header
	if ctx.Response.StatusCode() != http.StatusServiceUnavailable || string(h.Peek("X-Auth-Reason")) != "store_unavailable" || len(h.Peek("X-Session-Id")) > 0 {
		t.Errorf("got %s", &ctx.Response)
	}
	if !strings.Contains(logs.String(), "failed by a bug") || strings.Contains(logs.String(), token) {
		t.Errorf("logged: %s", logs)
	}
}
