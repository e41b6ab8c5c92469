package httpapi

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/httpapi/verify"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/oidc/oidctest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
	"github.com/cloakroom-dev/cloakroom/upstream/news"
)

// jwtUpstreamFixture is a fixture before a double of ZITADEL, some processes on one Redis, that take JWT access tokens as ZITADEL
// makes them.
type jwtUpstreamFixture struct {
	*fixture
	zitadel   *zitadeltest.Server
	issuer    *oidctest.Issuer
	processes []*fixture // fixture is the first
	user      string
}

// jwtUpstreamFile trusts an issuer as docs/jwts.md says of ZITADEL's access tokens; WITH is what else its section verify has.
const jwtUpstreamFile = `
issuers:
  - name: z
    issuer: ISSUER
    audience: [cloakroom]
    logout: {audience: [gateway], session: sid}
    verify: {claims: {session: jti}, session_pattern: "^(V2_.+)-at_"WITH}
`

// newJWTUpstreamFixture opens a process for each size of a near cache. with is for jwtUpstreamFile; as returns the token of our
// account.
func newJWTUpstreamFixture(t testing.TB, with string, as func(*zitadeltest.Server) string, near ...int) *jwtUpstreamFixture {
	t.Helper()
	z := zitadeltest.Start(t)
	client := clientOf(t, z.URL, as(z))
	f := &jwtUpstreamFixture{zitadel: z, user: z.AddUser(zitadeltest.User{Password: "Password1!"})}
	open := func(bytes int) func(*setup) {
		return func(s *setup) {
			s.config.Upstream, s.config.UpstreamTimeout, s.config.PermissionAge = client, 5*time.Second, time.Minute
			s.config.Verify.Accepts, s.config.Verify.UpstreamTimeout = verify.AcceptJWTs, 5*time.Second
			s.store.RememberDeletions, s.store.JWTs, s.store.NearBytes, s.store.NearStaleness = 1000, true, bytes, time.Minute
			s.store.Upstream = &cache.Upstream{Ask: client.Session, Tie: client.Tie, Timeout: 5 * time.Second, MaxAge: upstreamMaxAge, MaxBytes: 16 << 10}
		}
	}
	for i, bytes := range near {
		p := newFixture(t, withVerify, open(bytes), func(s *setup) {
			if i > 0 {
				s.redis = f.redis
			}
		})
		t.Cleanup(func() { _ = p.store.Close() })
		p.clock.Store(int64(session.TimeOf(z.Now())))
		if i == 0 {
			f.fixture = p
			f.issuer = p.trust(strings.Replace(jwtUpstreamFile, "WITH", with, 1))
		} else {
			p.follow(p.server, p.issuers(f.issuer, strings.Replace(jwtUpstreamFile, "WITH", with, 1)))
		}
		if bytes > 0 {
			p.runStore()
			eventually.Holds(t, "the near cache is used", func() bool { return p.store.NearStats().ProofAge >= 0 })
		}
		f.processes = append(f.processes, p)
	}
	return f
}

func admin(z *zitadeltest.Server) string { return z.Admin.Token }

// follow lets a process follow the news.
func (f *jwtUpstreamFixture) followNews(ties bool) {
	follower := news.New(news.Config{
		Store: f.store, Search: f.server.config.Upstream.Events, Every: 10 * time.Millisecond, MaxAgeProven: time.Minute, Ties: ties, Logger: f.server.log,
	})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- follower.Run(ctx) }()
	f.t.Cleanup(func() { stop(); <-ended })
}

// login starts a session and an application's login with it.
func (f *jwtUpstreamFixture) login(want zitadeltest.Session) (sessionID, oidcSession string) {
	f.t.Helper()
	if want.UserID == "" {
		want.UserID = f.user
	}
	want.Password = true
	sessionID, _ = f.zitadel.CreateSession(want)
	return sessionID, f.zitadel.StartOIDCSession(sessionID, "app")
}

// token is a JWT access token of a login of the user.
func (f *jwtUpstreamFixture) token(oidcSession string, changes ...string) string {
	c := map[string]any{"jti": oidcSession + "-at_" + f.zitadel.NewID(), "sub": f.user}
	for i := 0; i < len(changes); i += 2 {
		c[changes[i]] = changes[i+1]
	}
	return f.issuer.Sign(f.claims(f.issuer, c))
}

// everywhere checks the answer of every process, twice: the second comes from what is known.
func (f *jwtUpstreamFixture) everywhere(token string, status int, reason string) {
	f.t.Helper()
	for i, p := range f.processes {
		for range 2 {
			r := p.do("", "GET", "/verify", "", "Authorization", "Bearer "+token)
			if r.status != status || reasonIn(r) != reason {
				f.t.Errorf("process %d: got %d %q %s, want %d %q", i, r.status, reasonIn(r), r.body, status, reason)
			}
		}
	}
}

// soon waits until every process answers so.
func (f *jwtUpstreamFixture) soon(token string, status int) {
	f.t.Helper()
	for _, p := range f.processes {
		eventually.Holds(f.t, "the news have come", func() bool {
			return p.do("", "GET", "/verify", "", "Authorization", "Bearer "+token).status == status
		})
	}
}

// A JWT without a sid is refused everywhere once its session was deleted at ZITADEL or its user was locked, and so are the tokens that
// it is refreshed to. Another login goes on.
func TestI4_JWTUpstreamEndsWithItsSession(t *testing.T) {
	f := newJWTUpstreamFixture(t, "", admin, 1<<20, 0, 1<<20)
	f.followNews(true)
	id, login := f.login(zitadeltest.Session{})
	_, other := f.login(zitadeltest.Session{})
	token, refreshed, good := f.token(login), f.token(login), f.token(other)
	for _, token := range []string{token, refreshed, good} {
		f.everywhere(token, http.StatusOK, "")
	}
	f.zitadel.Terminate(id)
	f.soon(token, http.StatusUnauthorized)
	for _, token := range []string{token, refreshed, f.token(login)} {
		f.everywhere(token, http.StatusUnauthorized, "revoked")
	}
	f.everywhere(good, http.StatusOK, "")
	f.zitadel.Lock(f.user)
	f.soon(good, http.StatusUnauthorized)
	before := f.zitadel.Count(zitadeltest.GetSession)
	f.everywhere(f.token(other), http.StatusUnauthorized, "revoked")
	if n := f.zitadel.Count(zitadeltest.GetSession) - before; n > len(f.processes) {
		t.Errorf("for a token that is refused ZITADEL was asked %d times by %d processes", n, len(f.processes))
	}
}

// It ends with the session's time, by our clock, whatever its own exp, and with a logout that names the session.
func TestI1_JWTUpstreamEndsWithTheTimeOfItsSession(t *testing.T) {
	f := newJWTUpstreamFixture(t, "", admin, 1<<20, 0)
	_, login := f.login(zitadeltest.Session{Lifetime: 10 * time.Minute})
	out, another := f.login(zitadeltest.Session{})
	token, second := f.token(login), f.token(another)
	f.everywhere(token, http.StatusOK, "")
	f.everywhere(second, http.StatusOK, "")
	name := session.EndOfSession(session.ID("z:" + out))
	if _, err := f.store.End(t.Context(), name, session.End{NotAfter: session.Never, Until: f.now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	f.soon(second, http.StatusUnauthorized)
	f.everywhere(second, http.StatusUnauthorized, "revoked")
	f.everywhere(token, http.StatusOK, "")
	for _, p := range f.processes {
		p.advance(11 * time.Minute)
	}
	f.everywhere(token, http.StatusUnauthorized, "revoked")
}

// A process that has heard of no event asks for it, once for a herd, and keeps it for all. It asks for nothing while copies answer.
func TestJWTUpstream_HerdSearchesOnce(t *testing.T) {
	f := newJWTUpstreamFixture(t, "", admin, 1<<20, 0)
	_, login := f.login(zitadeltest.Session{})
	tokens := []string{f.token(login), f.token(login), f.token(login)}
	hold := f.zitadel.Hold(zitadeltest.ListEvents)
	var herd sync.WaitGroup
	for i := range 30 {
		herd.Go(func() {
			if r := f.do("", "GET", "/verify", "", "Authorization", "Bearer "+tokens[i%len(tokens)]); r.status != http.StatusOK {
				t.Errorf("got %d %s", r.status, r.body)
			}
		})
	}
	hold.Wait(1)
	hold.Release()
	herd.Wait()
	for _, token := range tokens {
		f.everywhere(token, http.StatusOK, "")
	}
	if n := f.zitadel.Count(zitadeltest.ListEvents); n != 1 {
		t.Errorf("it was searched for %d times", n)
	}
	if n := f.zitadel.Count(zitadeltest.GetSession); n != 1 {
		t.Errorf("the session was asked for %d times", n)
	}
}

// A tie that came by the news is not searched for.
func TestJWTUpstream_NewsTellTheSession(t *testing.T) {
	f := newJWTUpstreamFixture(t, "", admin, 0)
	f.followNews(true)
	_, login := f.login(zitadeltest.Session{})
	key := f.redis.Client(t)
	eventually.Holds(t, "the tie is kept", func() bool { return len(key.Keys(t.Context(), "cr:o:*").Val()) == 1 })
	f.zitadel.Fail(zitadeltest.ListEvents, 1000, zitadeltest.Failure{})
	f.everywhere(f.token(login), http.StatusOK, "")
}

// What cannot be told is no answer. (I2)
func TestI2_JWTUpstreamSessionNotKnown(t *testing.T) {
	f := newJWTUpstreamFixture(t, "", admin, 1<<20, 0)
	f.everywhere(f.token("V2_1234"), http.StatusServiceUnavailable, "store_unavailable")
	if n := f.zitadel.Count(zitadeltest.ListEvents); n != len(f.processes) {
		t.Errorf("nothing was found %d times", n)
	}

	_, login := f.login(zitadeltest.Session{})
	f.zitadel.Fail(zitadeltest.ListEvents, 1000, zitadeltest.Failure{})
	token := f.token(login)
	f.everywhere(token, http.StatusServiceUnavailable, "store_unavailable")
	f.zitadel.Recover()
	f.soon(token, http.StatusOK) // once its breaker has closed
	f.everywhere(token, http.StatusOK, "")

	// The tie is known, and the session must be asked for.
	f.zitadel.Fail(zitadeltest.GetSession, 1000, zitadeltest.Failure{})
	for _, p := range f.processes {
		p.advance(upstreamMaxAge)
	}
	f.everywhere(token, http.StatusServiceUnavailable, "store_unavailable")
	f.zitadel.Recover()
	f.soon(token, http.StatusOK)
}

// An account that may not search for events is named in the log, and is not tried with each token.
func TestI2_JWTUpstreamAccountMayNotSearch(t *testing.T) {
	f := newJWTUpstreamFixture(t, "", func(z *zitadeltest.Server) string { return z.Login.Token }, 0)
	_, login := f.login(zitadeltest.Session{})
	for range 5 {
		f.everywhere(f.token(login), http.StatusServiceUnavailable, "store_unavailable")
	}
	if n := f.zitadel.Count(zitadeltest.ListEvents); n == 0 || n >= 10 {
		t.Errorf("it was tried %d times, for ten verifies", n)
	}
	if !strings.Contains(f.logs.String(), "it must be an IAM_OWNER") {
		t.Error("the log does not name the right")
	}
}

// Sessions of the first hosted login are no sessions of the API, and neither are machines': their tokens pass by ends alone.
func TestJWTUpstream_WithoutSessionOfTheAPI(t *testing.T) {
	f := newJWTUpstreamFixture(t, "", admin, 1<<20, 0)
	for oidcSession, sessionID := range map[string]string{"V2_11": "V1_163840776835432705", "V2_12": ""} {
		tie, ok := session.NewTie(sessionID, f.user)
		if !ok {
			t.Fatal(sessionID)
		}
		if err := f.store.LearnTie(t.Context(), oidcSession, tie); err != nil {
			t.Fatal(err)
		}
		token := f.token(oidcSession)
		f.everywhere(token, http.StatusOK, "")
		f.everywhere(f.token(oidcSession, "sub", "somebody"), http.StatusUnauthorized, "revoked")
		if _, err := f.store.End(t.Context(), session.EndOfSession(session.ID("z:"+oidcSession)), session.End{NotAfter: session.Never, Until: f.now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		f.soon(token, http.StatusUnauthorized)
	}
	if n := f.zitadel.Count(zitadeltest.GetSession); n != 0 {
		t.Errorf("sessions were asked for %d times", n)
	}
}

// A token that names the login of somebody else is refused.
func TestJWTUpstream_LoginOfAnotherUser(t *testing.T) {
	f := newJWTUpstreamFixture(t, "", admin, 1<<20, 0)
	other := f.zitadel.AddUser(zitadeltest.User{Password: "Password1!"})
	_, login := f.login(zitadeltest.Session{UserID: other})
	f.everywhere(f.token(login), http.StatusUnauthorized, "revoked")
	f.everywhere(f.token(login, "sub", other), http.StatusOK, "")
}

// A session_pattern that leaves V2_ out has JWTs held against ends alone.
func TestJWTUpstream_PatternWithoutPrefix(t *testing.T) {
	f := newJWTUpstreamFixture(t, "", admin, 0)
	f.follow(f.server, f.issuers(f.issuer, strings.NewReplacer("WITH", "", "(V2_.+)", "V2_(.+)").Replace(jwtUpstreamFile)))
	f.everywhere(f.token("V2_1234"), http.StatusOK, "")
	if n := f.zitadel.Count(zitadeltest.Any); n != 0 {
		t.Errorf("ZITADEL was asked %d times", n)
	}
}

// With session: required the session itself is answered.
func TestJWTUpstream_SessionRequired(t *testing.T) {
	f := newJWTUpstreamFixture(t, ", session: required, session_ids: own", admin, 1<<20, 0)
	f.followNews(false)
	id, login := f.login(zitadeltest.Session{})
	token := f.token(login)
	f.everywhere(token, http.StatusOK, "")
	for _, p := range f.processes {
		r := p.do("", "GET", "/verify", "", "Authorization", "Bearer "+token)
		if r.header.Get("X-Session-Id") != id || r.header.Get("X-Session-User") != f.user || r.header.Get("X-Session-Factors") != "password" {
			t.Errorf("got %v, want session %s of %s", r.header, id, f.user)
		}
	}
	f.zitadel.Terminate(id)
	f.soon(token, http.StatusUnauthorized)
	f.everywhere(token, http.StatusUnauthorized, "revoked")
}

// A JWT whose session has ended at ZITADEL is no caller of the API either.
func TestI4_JWTUpstreamEndedIsNoCaller(t *testing.T) {
	f := newJWTUpstreamFixture(t, "", admin, 1<<20, 0)
	f.followNews(true)
	id, login := f.login(zitadeltest.Session{})
	token := f.token(login)
	asked := func(p *fixture) int { return p.do(token, "GET", "/v2/sessions/"+id, "").status }
	for _, p := range f.processes {
		if status := asked(p); status == http.StatusUnauthorized || status >= 500 {
			t.Errorf("got %d while the session lives", status)
		}
	}
	f.zitadel.Terminate(id)
	for _, p := range f.processes {
		eventually.Holds(t, "it is no caller", func() bool { return asked(p) == http.StatusUnauthorized })
	}
}

// jwtUpstreamRequest is a verify of a JWT whose ends, tie and session are known.
func jwtUpstreamRequest(t testing.TB) func() {
	f := newJWTUpstreamFixture(t, "", admin, 1<<20)
	_, login := f.login(zitadeltest.Session{})
	token := f.token(login, "roles", strings.Repeat("x", 450))
	f.everywhere(token, http.StatusOK, "")
	return f.verifyOf(token)
}

func BenchmarkNearHit_JWTUpstream(b *testing.B) {
	request := jwtUpstreamRequest(b)
	b.ReportAllocs()
	for b.Loop() {
		request()
	}
}

func TestJWTUpstream_Allocations(t *testing.T) {
	request := jwtUpstreamRequest(t)
	if got := testing.AllocsPerRun(1000, request); got > 0 && !raceEnabled {
		t.Errorf("it allocates %v times, want 0", got)
	}
}
