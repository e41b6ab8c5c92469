package httpapi

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/verify"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
)

// unseen makes a session of the user with a password at ZITADEL itself.
func (f *upstreamFixture) unseen() (id, token string) {
	return f.zitadel.CreateSession(zitadeltest.Session{UserID: f.user.ID, Password: true})
}

// verifiesBare checks what verify says of a token alone, or of any credential.
func (f *upstreamFixture) verifiesBare(credential string, status int, reason string) reply {
	f.t.Helper()
	r := f.do("", "GET", "/verify", "", "Authorization", "Bearer "+credential)
	if r.status != status || reasonIn(r) != reason {
		f.t.Errorf("got %d %q %s, want %d %q", r.status, reasonIn(r), r.body, status, reason)
	}
	return r
}

// calls is how often ZITADEL was asked on account of tokens.
func (f *upstreamFixture) calls() int {
	return f.zitadel.Count(zitadeltest.GetMyUser) + f.zitadel.Count(zitadeltest.ListSessions) + f.zitadel.Count(zitadeltest.GetSession)
}

// A bare token of a session that was made at ZITADEL itself is found, and then known.
func TestUpstream_BareTokenFromElsewhere(t *testing.T) {
	f := newUpstreamFixture(t)
	id, token := f.unseen()
	if r := f.verifiesBare(token, http.StatusOK, ""); r.header.Get("X-Session-Id") != id {
		t.Errorf("it is the session %s, want %s", r.header.Get("X-Session-Id"), id)
	}
	if got := f.calls(); got != 3 {
		t.Errorf("it has cost %d calls, want 3: user, list, session", got)
	}
	f.verifiesBare(token, http.StatusOK, "")
	f.verifies(id, token, http.StatusOK, "")
	if got := f.calls(); got != 3 {
		t.Errorf("what was found has cost %d calls more", got-3)
	}
	f.zitadel.Terminate(id)
	f.advance(upstreamMaxAge)
	f.verifiesBare(token, http.StatusUnauthorized, "not_found")
}

// Lists lag: a session that is made just now is found by the second list.
func TestUpstream_BareTokenWhileListsLag(t *testing.T) {
	f := newUpstreamFixture(t)
	f.zitadel.Change(func(s *zitadeltest.Settings) { s.HoldLists = true })
	_, token := f.unseen()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.verifiesBare(token, http.StatusOK, "")
	}()
	f.zitadel.WaitFor(zitadeltest.ListSessions, 1)
	f.zitadel.Change(func(s *zitadeltest.Settings) { s.HoldLists = false })
	<-done
	// A list that lags for longer says nothing, and no answer is remembered.
	f.zitadel.Change(func(s *zitadeltest.Settings) { s.HoldLists = true })
	_, token = f.unseen()
	if r := f.verifiesBare(token, http.StatusServiceUnavailable, "store_unavailable"); r.header.Get("Retry-After") != "1" {
		t.Error("it says not when to come again")
	}
	f.zitadel.Change(func(s *zitadeltest.Settings) { s.HoldLists = false })
	f.verifiesBare(token, http.StatusOK, "")
}

// Of a user with many sessions those are found that changed last.
func TestUpstream_BareTokensOfAUserWithManySessions(t *testing.T) {
	f := newUpstreamFixture(t)
	var ids, tokens []string
	for range 40 {
		id, token := f.unseen()
		ids, tokens = append(ids, id), append(tokens, token)
		f.zitadel.CreateSession(zitadeltest.Session{UserID: f.user.ID}) // somebody types the user's name
	}
	for i := 35; i < 40; i++ {
		f.verifiesBare(tokens[i], http.StatusOK, "")
	}
	token, err := f.zitadel.SetMetadata(ids[3], "k", "v")
	if err != nil {
		t.Fatal(err)
	}
	if r := f.verifiesBare(token, http.StatusOK, ""); r.header.Get("X-Session-Id") != ids[3] {
		t.Errorf("it is the session %s, want %s", r.header.Get("X-Session-Id"), ids[3])
	}
	// Ten sessions are looked at, and no more, each time.
	before := f.zitadel.Count(zitadeltest.GetSession)
	f.verifiesBare(tokens[0], http.StatusServiceUnavailable, "store_unavailable")
	if got := f.zitadel.Count(zitadeltest.GetSession) - before; got != 10 {
		t.Errorf("%d sessions were looked at, want 10", got)
	}
	for range 2 {
		f.verifiesBare(tokens[0], http.StatusServiceUnavailable, "store_unavailable")
	}
	f.verifiesBare(tokens[0], http.StatusOK, "") // the 40th
}

// A bare token that ZITADEL refuses is refused; whatever else it says of it is not known. (I2)
func TestI2_UpstreamBareTokensThatAreRefused(t *testing.T) {
	f := newUpstreamFixture(t)
	z := f.zitadel
	_, unproven := z.CreateSession(zitadeltest.Session{UserID: f.user.ID})
	_, nobodys := z.CreateSession(zitadeltest.Session{})
	ended, deleted := f.unseen()
	z.Terminate(ended)
	changed, before := f.unseen()
	after, err := z.SetMetadata(changed, "k", "v")
	if err != nil {
		t.Fatal(err)
	}
	madeUp := forged(1)
	for _, c := range []struct{ token, reason string }{
		{unproven, "not_found"}, {nobodys, "not_found"}, {deleted, "not_found"}, {before, "wrong_token"}, {madeUp, "not_found"}, {"a.b.c.d.e", "not_found"},
	} {
		f.verifiesBare(c.token, http.StatusUnauthorized, c.reason)
	}
	f.verifiesBare(after, http.StatusOK, "")
	// Some refusals are for good, and asked for once in five seconds.
	asked := z.Count(zitadeltest.GetMyUser)
	f.verifiesBare(madeUp, http.StatusUnauthorized, "not_found")
	f.verifiesBare(before, http.StatusUnauthorized, "wrong_token")
	if got := z.Count(zitadeltest.GetMyUser) - asked; got != 0 {
		t.Errorf("ZITADEL was asked %d times for what it refuses for good", got)
	}
	f.verifiesBare(unproven, http.StatusUnauthorized, "not_found")
	if got := z.Count(zitadeltest.GetMyUser) - asked; got != 1 {
		t.Errorf("ZITADEL was asked %d times for what it may accept later", got)
	}
	// What is not clearly ZITADEL's refusal is none, and is not remembered.
	_, good := f.unseen()
	for _, failure := range []zitadeltest.Failure{
		{Status: http.StatusForbidden, ErrorID: "AUTH-Bs7Ds"},
		{Status: http.StatusNotFound, ErrorID: "AUTHZ-cdgFk"},
		{Status: http.StatusUnauthorized},
		{Cut: true},
		{},
		{Status: http.StatusBadGateway},
	} {
		z.Fail(zitadeltest.GetMyUser, 1, failure)
		if failure.Cut {
			z.Fail(zitadeltest.GetMyUser, 3, failure) // reads are sent again
		}
		f.verifiesBare(good, http.StatusServiceUnavailable, "store_unavailable")
		z.Recover()
	}
	f.verifiesBare(good, http.StatusOK, "")
	_, locked := f.unseen()
	z.Lock(f.user.ID)
	f.verifiesBare(locked, http.StatusUnauthorized, "not_found")
}

// forged is a token that looks as one of ZITADEL's.
func forged(i int) string {
	return fmt.Sprintf("%s.%s.%s.%s.%010d", strings.Repeat("a", 100), strings.Repeat("b", 50), strings.Repeat("c", 16), strings.Repeat("d", 80), i)
}

const probesPerSecond = 10

// limitedUpstream is a fixture with a budget of probes.
func limitedUpstream(t *testing.T, change ...func(*setup)) *upstreamFixture {
	t.Helper()
	return newUpstreamFixture(t, append([]func(*setup){func(s *setup) {
		s.store.Upstream.ProbesPerSecond = probesPerSecond
		s.config.Verify.UpstreamTimeout, s.limits.verify = 30*time.Second, 30*time.Second
	}}, change...)...)
}

// flood sends made-up credentials until it is stopped, from as many callers, each as another client as of tells.
func (f *upstreamFixture) flood(callers int, of func(i int) string) (stop func()) {
	ctx, cancel := context.WithCancel(f.t.Context())
	var all sync.WaitGroup
	victim, _ := f.unseen()
	for i := range callers {
		all.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			for n := 0; ctx.Err() == nil; n++ {
				token := forged(r.Int())
				switch n % 3 { // bare, of one ID, of many
				case 1:
					token = victim + ":" + token
				case 2:
					token = strconv.Itoa(r.Int()) + ":" + token
				}
				req, err := http.NewRequestWithContext(ctx, "GET", f.url+"/verify", nil)
				if err != nil {
					f.t.Error(err)
					return
				}
				req.Header.Set("Authorization", "Bearer "+token)
				req.Header.Set("X-Forwarded-For", of(i))
				res, err := f.client.Do(req)
				if err != nil {
					continue // it ends
				}
				if reason := res.Header.Get("X-Auth-Reason"); reason != "not_found" && reason != "wrong_token" && reason != "probe_limit" {
					f.t.Errorf("got %d %q", res.StatusCode, reason)
				}
				_ = res.Body.Close()
			}
		})
	}
	return func() { cancel(); all.Wait() }
}

// However many made-up tokens come, and from wherever, they cost ZITADEL the budget and no more, and a good new one from elsewhere passes; what is
// known passes without any budget.
func TestUpstream_FloodOfMadeUpTokens(t *testing.T) {
	for name, of := range map[string]func(i int) string{
		"one address":        func(int) string { return "192.0.2.1" },
		"many addresses":     func(i int) string { return fmt.Sprintf("10.%d.0.1", i%7) },
		"many of a network":  func(i int) string { return fmt.Sprintf("2001:db8:1:%x::1", i) },
		"addresses of a /64": func(i int) string { return fmt.Sprintf("2001:db8:1:1::%x", i) },
	} {
		t.Run(name, func(t *testing.T) {
			f := limitedUpstream(t)
			known, knownToken := f.create()
			_, bare := f.unseen()
			paired, pairedToken := f.unseen()
			started := f.calls()
			stop := f.flood(100, of)
			defer stop()
			eventually.Holds(t, "the budget is spent, and callers wait", func() bool {
				got := f.store.UpstreamStats()
				return got.Probes == probesPerSecond && got.ProbesWaiting > 3
			})
			f.verifies(known, knownToken, http.StatusOK, "")
			if _, token := f.create(); token == "" {
				t.Error("nobody can log in")
			}
			// Time goes on by a permit each time one was used.
			var honest sync.WaitGroup
			for _, credential := range []string{bare, paired + ":" + pairedToken} {
				honest.Go(func() {
					r := f.do("", "GET", "/verify", "", "Authorization", "Bearer "+credential, "X-Forwarded-For", "198.51.100.7")
					if r.status != http.StatusOK {
						t.Errorf("a good new token: %d %s", r.status, r.body)
					}
				})
			}
			through := make(chan struct{})
			go func() { honest.Wait(); close(through) }()
			seconds := 0
			for done := false; !done; seconds++ {
				f.advance(time.Second)
				before := f.store.UpstreamStats().Probes
				eventually.Holds(t, "permits are used", func() bool {
					select {
					case <-through:
						done = true
					default:
					}
					return done || f.store.UpstreamStats().Probes > before
				})
			}
			stop()
			if most := probesPerSecond * (seconds + 1); int(f.store.UpstreamStats().Probes) > most {
				t.Errorf("%d permits were given, and the budget has %d", f.store.UpstreamStats().Probes, most)
			}
			// Besides: the victim's is no call, and the second creation is learned by one.
			if got, most := f.calls()-started, probesPerSecond*(seconds+1)+1; got > most {
				t.Errorf("ZITADEL got %d calls, and the budget has %d", got, most)
			}
		})
	}
}

// Where no permit is had in time, the answer says so, and counts.
func TestUpstream_ProbeLimitIsUnavailable(t *testing.T) {
	f := limitedUpstream(t, func(s *setup) {
		s.config.Verify.UpstreamTimeout, s.limits.verify = 50*time.Millisecond, 50*time.Millisecond
	})
	id, token := f.unseen()
	for i := range probesPerSecond {
		f.do("", "GET", "/verify", "", "Authorization", "Bearer "+forged(i))
	}
	eventually.Holds(t, "the budget is spent", func() bool {
		f.do("", "GET", "/verify", "", "Authorization", "Bearer "+forged(rand.Int()))
		return f.store.UpstreamStats().Probes == probesPerSecond
	})
	for _, credential := range []string{token, id + ":" + token} {
		r := f.verifiesBare(credential, http.StatusServiceUnavailable, "probe_limit")
		if r.header.Get("Retry-After") != "1" {
			t.Error("it says not when to come again")
		}
	}
	if f.store.UpstreamStats().NotProbed < 2 {
		t.Errorf("%+v", f.store.UpstreamStats())
	}
	if !strings.Contains(f.logs.String(), "--upstream-probe-rate") || strings.Contains(f.logs.String(), token) {
		t.Error("the log does not say so, or has the token (I6)")
	}
	// A caller with an API key is no stranger.
	f.want(http.StatusOK, "admin", "GET", "/v2/sessions/"+id+"?sessionToken="+token, "")
}

// The cookie of ZITADEL's login application is a list of sessions, of which the one that changed last counts.
func TestUpstream_LoginCookie(t *testing.T) {
	f := newUpstreamFixture(t, func(s *setup) {
		s.config.Verify.Accepts = verify.AcceptLoginCookies
		s.config.Verify.Credentials = []verify.Credential{cookieCredential("sessions")}
	})
	first, firstToken := f.unseen()
	second, secondToken := f.unseen()
	now := f.now().Std().UnixMilli()
	entry := func(id, token string, changed, expires int64) string {
		return fmt.Sprintf(`{"id":"%s","token":"%s","loginName":"ä@example.com","organization":"1","creationTs":"%d","expirationTs":"%d","changeTs":"%d","requestId":"V2_1"}`, id, token, now-9000, expires, changed)
	}
	for _, c := range []struct {
		name, cookie, id string
		status           int
		reason           string
	}{
		{"one", "[" + entry(first, firstToken, now, now+1000) + "]", first, 200, ""},
		{"the last changed", "[" + entry(first, firstToken, now, now+1000) + "," + entry(second, secondToken, now-1, now+1000) + "]", first, 200, ""},
		{"the last changed is last", "[" + entry(first, firstToken, now, now+1000) + "," + entry(second, secondToken, now+1, now+1000) + "]", second, 200, ""},
		{"the other one has expired", "[" + entry(first, firstToken, now, now) + "," + entry(second, secondToken, now-1, now+1000) + "]", second, 200, ""},
		{"all have expired", "[" + entry(first, firstToken, now, now) + "]", "", 401, "expired"},
		{"none", "[]", "", 401, "missing"},
		{"token of the other one", "[" + entry(first, secondToken, now, now+1000) + "]", "", 401, "wrong_token"},
		{"no list", `{"id":"1"}`, "", 401, "not_found"},
		{"broken", "[{", "", 401, "malformed"},
	} {
		r := f.do("", "GET", "/verify", "", "Cookie", "a=b; sessions="+strings.ReplaceAll(url.QueryEscape(c.cookie), "+", "%20"))
		if r.status != c.status || reasonIn(r) != c.reason || r.header.Get("X-Session-Id") != c.id {
			t.Errorf("%s: got %d %q %s, want %d %q %s", c.name, r.status, reasonIn(r), r.header.Get("X-Session-Id"), c.status, c.reason, c.id)
		}
	}
	r := f.do("", "GET", "/verify", "", "Cookie", "sessions="+first+":"+firstToken)
	if r.status != http.StatusUnauthorized {
		t.Errorf("a pair is not accepted, and passes: %d", r.status)
	}
}
