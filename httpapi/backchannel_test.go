package httpapi

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/oidc/oidctest"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"
)

// logoutToken signs a good logout token; changes replace its claims, nil takes
// one away. Each has a jti of its own.
func (f *fixture) logoutToken(issuer *oidctest.Issuer, changes map[string]any) string {
	jtis++
	c := map[string]any{
		"iss": issuer.URL, "aud": "gateway", "iat": f.now().Std().Unix(), "jti": fmt.Sprint("jti-", jtis),
		"events": map[string]any{oidctest.LogoutEvent: map[string]any{}},
	}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return issuer.Sign(c)
}

var jtis int

// sendLogout sends a logout token as an issuer does.
func (f *fixture) sendLogout(token string) reply {
	f.t.Helper()
	return f.do("", "POST", "/backchannel-logout", url.Values{"logout_token": {token}}.Encode(), "Content-Type", "application/x-www-form-urlencoded")
}

// loggedOut fails the test unless r says that a logout has been done.
func loggedOut(t testing.TB, r reply) {
	t.Helper()
	if r.status != http.StatusOK || r.body != "" || r.header.Get("Cache-Control") != "no-store" || r.header.Get("Content-Type") != "" {
		t.Errorf("got %d %q %v, want 200 and nothing", r.status, r.body, r.header)
	}
}

// notLoggedOut fails the test unless r has this status, error and text.
func notLoggedOut(t testing.TB, r reply, status int, name, text string) {
	t.Helper()
	var e struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	err := json.Unmarshal([]byte(r.body), &e)
	if err != nil || r.status != status || e.Error != name || !strings.Contains(e.Description, text) ||
		r.header.Get("Cache-Control") != "no-store" || r.header.Get("Content-Type") != contentTypeJSON {
		t.Errorf("got %d %s %v, want %d %s with %q", r.status, r.body, r.header, status, name, text)
	}
	if status == http.StatusServiceUnavailable && r.header.Get("Retry-After") != "1" {
		t.Errorf("503 without Retry-After")
	}
}

// put stores sessions, each with its user: "s1=alice".
func (f *fixture) put(sessions ...string) {
	f.t.Helper()
	for _, s := range sessions {
		id, user, _ := strings.Cut(s, "=")
		f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/"+id, `{"factors":{"user":{"id":"`+user+`"},"password":{}}}`)
	}
}

// live fails the test unless exactly these of all sessions live.
func (f *fixture) live(all, want string) {
	f.t.Helper()
	for _, id := range strings.Fields(all) {
		status := http.StatusNotFound
		if strings.Contains(" "+want+" ", " "+id+" ") {
			status = http.StatusOK
		}
		if r := f.do("admin", "GET", "/v2/sessions/"+id, ""); r.status != status {
			f.t.Errorf("session %s: got %d, want %d", id, r.status, status)
		}
	}
}

func TestLogoutEndsSessions(t *testing.T) {
	eachShards(t, func(t *testing.T, shards int) {
		f := newFixture(t, withShards(shards))
		issuer := f.trust(issuersFile)
		const all = "a1 a2 a3 a4 b1"
		f.put("a1=alice", "a2=alice", "a3=alice", "b1=bob")
		f.live(all, "a1 a2 a3 b1")
		// A session of the user.
		loggedOut(t, f.sendLogout(f.logoutToken(issuer, map[string]any{"sub": "alice", "sid": "a1"})))
		f.live(all, "a2 a3 b1")
		// A session of another user stays, whichever of the two was meant.
		loggedOut(t, f.sendLogout(f.logoutToken(issuer, map[string]any{"sub": "alice", "sid": "b1"})))
		f.live(all, "a2 a3 b1")
		// A session alone.
		loggedOut(t, f.sendLogout(f.logoutToken(issuer, map[string]any{"sid": "a2"})))
		f.live(all, "a3 b1")
		// What is not there, and what cannot be there, has ended.
		for _, sid := range []string{"a1", "unknown", "not an ID", strings.Repeat("x", 200)} {
			loggedOut(t, f.sendLogout(f.logoutToken(issuer, map[string]any{"sid": sid})))
		}
		loggedOut(t, f.sendLogout(f.logoutToken(issuer, map[string]any{"sub": "carol"})))
		f.live(all, "a3 b1")
		// All of a user's.
		f.put("a4=alice")
		loggedOut(t, f.sendLogout(f.logoutToken(issuer, map[string]any{"sub": "alice"})))
		f.live(all, "b1")

		log := f.logs.String()
		if !strings.Contains(log, `call=BackchannelLogout status=200`) || !strings.Contains(log, `caller="issuer test" user_id=alice revoked=2`) ||
			!strings.Contains(log, `session_id=a1 revoked=1`) {
			t.Errorf("the log does not tell:\n%s", log)
		}
		if strings.Contains(log, "eyJ") || strings.Contains(log, "jti-") {
			t.Errorf("I6: the log has a token:\n%s", log)
		}
	})
}

// second is another server on the same Redis, by a client with these hooks.
func (f *fixture) second(hooks ...redis.Hook) *fixture {
	f.t.Helper()
	client := f.redis.Client(f.t, func(o *redis.Options) { o.DialerRetries = 1 })
	for _, h := range hooks {
		client.AddHook(h)
	}
	g := &fixture{t: f.t, logs: f.logs, secret: f.secret, redis: f.redis, proxy: f.proxy}
	var err error
	if g.store, err = cache.Open(f.t.Context(), cache.Config{
		Redis: client, Clock: f.now, Logger: f.server.log,
	}); err != nil {
		f.t.Fatal(err)
	}
	if g.server, err = New(Config{Store: g.store, Logger: f.server.log}); err != nil {
		f.t.Fatal(err)
	}
	g.server.Callers.SetKeys(f.apiKeys)
	g.serve()
	return g
}

// A token counts once, in whatever process, and does not end what begins later.
func TestLogoutTokenCountsOnce(t *testing.T) {
	eachShards(t, func(t *testing.T, shards int) {
		f := newFixture(t, withShards(shards))
		issuer := f.trust(issuersFile)
		g := f.second()
		g.follow(g.server, f.issuers(issuer, issuersFile))
		f.put("a1=alice")
		token := f.logoutToken(issuer, map[string]any{"sub": "alice"})
		loggedOut(t, f.sendLogout(token))
		f.live("a1", "")
		f.put("a2=alice")
		for _, s := range []*fixture{f, g, f} {
			notLoggedOut(t, s.sendLogout(token), http.StatusBadRequest, "invalid_request", "used before")
		}
		f.live("a2", "a2")
		// The next one is another.
		loggedOut(t, g.sendLogout(f.logoutToken(issuer, map[string]any{"sub": "alice"})))
		f.live("a2", "")
		// The note is there as long as the token would be taken, and not for ever.
		found, err := f.redis.Client(t).Keys(t.Context(), "cr:j:*").Result()
		if err != nil || len(found) != 2 {
			t.Fatalf("got %q, %v", found, err)
		}
		for _, key := range found {
			if left, err := f.redis.Client(t).PTTL(t.Context(), key).Result(); err != nil || left < 10*time.Minute || left > 11*time.Minute {
				t.Errorf("got %v, %v", left, err)
			}
		}
		f.advance(11 * time.Minute)
		notLoggedOut(t, f.sendLogout(token), http.StatusBadRequest, "invalid_request", "iat")
	})
}

// The same token many times at once ends the sessions, and is taken once.
func TestLogoutTokenComesAtOnce(t *testing.T) {
	f := newFixture(t)
	issuer := f.trust(issuersFile)
	g := f.second()
	g.follow(g.server, f.issuers(issuer, issuersFile))
	f.put("a1=alice", "a2=alice")
	token := f.logoutToken(issuer, map[string]any{"sub": "alice"})
	replies := make([]reply, 16)
	var all sync.WaitGroup
	for i := range replies {
		all.Go(func() { replies[i] = []*fixture{f, g}[i%2].sendLogout(token) })
	}
	all.Wait()
	good := 0
	for _, r := range replies {
		if r.status == http.StatusOK {
			good++
			continue
		}
		notLoggedOut(t, r, http.StatusBadRequest, "invalid_request", "used before")
	}
	if good != 1 {
		t.Errorf("the token was taken %d times", good)
	}
	f.live("a1 a2", "")
}

func TestLogoutRefuses(t *testing.T) {
	f := newFixture(t)
	issuer := f.trust(issuersFile)
	f.put("a1=alice")
	now := f.now().Std().Unix()
	for name, changes := range map[string]map[string]any{
		"aud":    {"aud": "cloakroom"},
		"iat":    {"iat": now - 3600},
		"exp":    {"exp": now - 3600},
		"jti":    {"jti": nil},
		"events": {"events": nil},
		"nonce":  {"nonce": "n"},
		"iss":    {"iss": "https://elsewhere.example"},
		"sid":    {"sub": nil},
	} {
		claims := map[string]any{"sub": "alice"}
		maps.Copy(claims, changes)
		notLoggedOut(t, f.sendLogout(f.logoutToken(issuer, claims)), http.StatusBadRequest, "invalid_request", name)
	}
	// The sender never repeats what is 400: these may be good soon.
	notLoggedOut(t, f.sendLogout(oidctest.NewKey(t, "RS256").Sign(t, f.claims(issuer, nil))), http.StatusServiceUnavailable, "temporarily_unavailable", "kid")
	notLoggedOut(t, f.sendLogout(f.logoutToken(issuer, map[string]any{"sub": "alice", "iat": now + 3600})), http.StatusServiceUnavailable, "temporarily_unavailable", "iat")

	const form = "application/x-www-form-urlencoded"
	good := func() string {
		return url.Values{"logout_token": {f.logoutToken(issuer, map[string]any{"sub": "alice"})}}.Encode()
	}
	for _, c := range []struct{ body, kind, want string }{
		{"", form, "logout_token"},
		{"logout_token=", form, "no JWT"},
		{"token=x", form, "logout_token"},
		{good() + "&" + good(), form, "once"},
		{good() + "&x=%zz", form, "form"},
		{good(), "application/json", "Content-Type"},
		{good(), "", "Content-Type"},
		{"logout_token=" + strings.Repeat("x", maxLogoutBytes), form, "at most 16384 bytes"},
		{"logout_token=" + strings.Repeat("x", 9000), form, "more than 8192 bytes"},
	} {
		notLoggedOut(t, f.do("", "POST", "/backchannel-logout", c.body, "Content-Type", c.kind), http.StatusBadRequest, "invalid_request", c.want)
	}
	// The query is not looked at, nor are the API's credentials.
	notLoggedOut(t, f.do("admin", "POST", "/backchannel-logout?"+good(), "x=y", "Content-Type", form), http.StatusBadRequest, "invalid_request", "logout_token")
	f.want(http.StatusMethodNotAllowed, "", "GET", "/backchannel-logout?"+good(), "")
	f.live("a1", "a1")
	loggedOut(t, f.do("nobody", "POST", "/backchannel-logout", good()+"&x=y", "Content-Type", form+"; charset=utf-8"))
	f.live("a1", "")

	f.server.Callers.SetIssuers(nil)
	notLoggedOut(t, f.do("", "POST", "/backchannel-logout", good(), "Content-Type", form), http.StatusBadRequest, "invalid_request", "no issuer")
}

// While the store or the issuer is away, nothing is said about the token, and it
// can come again.
func TestI2_LogoutComesAgain(t *testing.T) {
	f := newFixture(t)
	issuer := f.trust(issuersFile)
	f.put("a1=alice")
	token := f.logoutToken(issuer, map[string]any{"sub": "alice"})
	f.proxy.Refuse(true)
	f.proxy.CutAll()
	notLoggedOut(t, f.sendLogout(token), http.StatusServiceUnavailable, "temporarily_unavailable", "store")
	f.proxy.Refuse(false)
	f.live("a1", "a1")
	loggedOut(t, f.sendLogout(token))
	f.live("a1", "")
	notLoggedOut(t, f.sendLogout(token), http.StatusBadRequest, "invalid_request", "used before")

	away := oidctest.Start(t)
	away.Stop()
	g := f.second()
	g.follow(g.server, f.issuers(away, issuersFile))
	token = f.logoutToken(away, map[string]any{"sub": "alice"})
	notLoggedOut(t, g.sendLogout(token), http.StatusServiceUnavailable, "temporarily_unavailable", "issuer")
}

// Wherever a logout is cut off, it is not lost: when its token comes again, the
// sessions end, and no answer says that they have before they have.
func TestLogoutCutAnywhere(t *testing.T) {
	eachShards(t, func(t *testing.T, shards int) {
		f := newFixture(t, withShards(shards))
		issuer := oidctest.Start(t)
		faults := new(redistest.Faults)
		g := f.second(faults)
		g.follow(g.server, f.issuers(issuer, issuersFile))
		for name, cut := range map[string]func(int) redistest.Cut{
			"not sent": redistest.CutBefore, "reply lost": redistest.CutAfter, "process dies": redistest.CrashBefore,
		} {
			answers := map[string]int{}
			for trip, fired := 1, true; fired; trip++ {
				user := fmt.Sprintf("%s-%d", strings.ReplaceAll(name, " ", "-"), trip)
				f.put(user+"-1="+user, user+"-2="+user)
				token := f.logoutToken(issuer, map[string]any{"sub": user})
				faults.Arm(cut(trip))
				r := g.sendLogout(token)
				fired = faults.Fired()
				faults.Arm(redistest.Cut{})
				answers[fmt.Sprint(r.status)]++
				if r.status != http.StatusOK {
					notLoggedOut(t, r, http.StatusServiceUnavailable, "temporarily_unavailable", "store")
					r = g.sendLogout(token)
					answers[fmt.Sprint("again ", r.status)]++
				}
				if r.status != http.StatusOK {
					notLoggedOut(t, r, http.StatusBadRequest, "invalid_request", "used before")
				}
				f.live(user+"-1 "+user+"-2", "")
			}
			if answers["503"] == 0 || answers["again 200"] == 0 || (answers["again 400"] > 0) != (name == "reply lost") {
				t.Errorf("%s: the answers were %v", name, answers)
			}
		}
	})
}

// A full Redis, which cannot note that a token was used, ends the sessions all
// the same.
func TestLogoutOnAFullRedis(t *testing.T) {
	f := newFixture(t)
	issuer := f.trust(issuersFile)
	f.put("a1=alice")
	rdb := f.redis.Client(t)
	if err := rdb.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	token := f.logoutToken(issuer, map[string]any{"sub": "alice"})
	notLoggedOut(t, f.sendLogout(token), http.StatusServiceUnavailable, "temporarily_unavailable", "store")
	f.live("a1", "")
	if err := rdb.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	loggedOut(t, f.sendLogout(token))
}

// An issuer may ask for leave to send the body, and send it in chunks or slowly.
func TestLogoutBodies(t *testing.T) {
	f := newFixture(t)
	issuer := f.trust(issuersFile)
	body := func() string {
		return url.Values{"logout_token": {f.logoutToken(issuer, map[string]any{"sub": "alice"})}}.Encode()
	}
	const head = "POST /backchannel-logout HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
	for name, send := range map[string]func(conn net.Conn, in *bufio.Reader){
		"expecting": func(conn net.Conn, in *bufio.Reader) {
			b := body()
			_, _ = fmt.Fprintf(conn, "%sExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", head, len(b))
			if line, err := in.ReadString('\n'); err != nil || !strings.Contains(line, "100") {
				t.Errorf("got %q, %v", line, err)
			}
			_, _ = in.ReadString('\n')
			_, _ = conn.Write([]byte(b))
		},
		"chunked": func(conn net.Conn, _ *bufio.Reader) {
			b := body()
			_, _ = fmt.Fprintf(conn, "%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", head, 10, b[:10], len(b)-10, b[10:])
		},
	} {
		conn, err := net.Dial("tcp", f.addr)
		if err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(conn)
		send(conn, in)
		res, err := http.ReadResponse(in, nil)
		if err != nil || res.StatusCode != http.StatusOK || res.Close {
			t.Errorf("%s: got %v, %v", name, res, err)
		}
		if err == nil {
			_ = res.Body.Close()
		}
		_ = conn.Close()
	}
	// One that is too large is refused before it is sent.
	conn, err := net.Dial("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = fmt.Fprintf(conn, "%sExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", head, maxLogoutBytes+1)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != http.StatusBadRequest || !res.Close {
		t.Fatalf("got %v, %v", res, err)
	}
	_ = res.Body.Close()
}

// A logout that its headers rule out is refused before its body comes, because its
// sender has shown no credential yet.
func TestLogoutRefusedAtOnce(t *testing.T) {
	f := newFixture(t)
	refused := func(headers, want string) {
		t.Helper()
		conn, err := net.Dial("tcp", f.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(f.server.limits.Read / 2)); err != nil { // the server would wait longer
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "POST /backchannel-logout HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n"+headers+"\r\n")
		answer, err := io.ReadAll(conn)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") || !strings.Contains(string(answer), want) {
			t.Errorf("got %s, %v, want %s", answer, err, want)
		}
	}
	refused("", "no issuer is configured")
	f.trust(issuersFile)
	refused("A: "+strings.Repeat("a", maxLogoutHeader)+"\r\n", "request headers too large: at most 16384 bytes here")
}

// As many logouts as there may be at a time hold up no more than themselves.
func TestTooManyLogouts(t *testing.T) {
	f := newFixture(t)
	issuer := f.trust(issuersFile)
	for range maxLogouts {
		f.server.logouts.Enter()
	}
	token := f.logoutToken(issuer, map[string]any{"sub": "alice"})
	notLoggedOut(t, f.sendLogout(token), http.StatusServiceUnavailable, "temporarily_unavailable", "at most 64")
	// A token of no issuer takes no place, not even while it is looked at.
	notLoggedOut(t, f.sendLogout(token[:len(token)-4]), http.StatusBadRequest, "invalid_request", "invalid token")
	f.server.logouts.Leave()
	loggedOut(t, f.sendLogout(token))
}

// Each issuer whose logouts are taken is counted from the start, and each way in which one may end.
func TestLogoutsAreCounted(t *testing.T) {
	registry := prometheus.NewRegistry()
	f := newFixture(t, func(s *setup) { s.config.Metrics = registry })
	issuer := f.trust(issuersFile)
	want := func(counts string) {
		t.Helper()
		text := "# HELP cloakroom_logouts_total Back-channel logouts by issuer, empty if it is not known, and result: done, used before, to come again later, refused for good.\n" +
			"# TYPE cloakroom_logouts_total counter\n" + counts
		if err := testutil.GatherAndCompare(registry, strings.NewReader(text), "cloakroom_logouts_total"); err != nil {
			t.Error(err)
		}
	}
	counted := func(issuer string, done, used, later, refused int) (text string) {
		for result, n := range map[string]int{"done": done, "used": used, "later": later, "refused": refused} {
			text += fmt.Sprintf("cloakroom_logouts_total{issuer=%q,result=%q} %d\n", issuer, result, n)
		}
		return text
	}
	want(counted("test", 0, 0, 0, 0))
	token := f.logoutToken(issuer, map[string]any{"sub": "alice"})
	loggedOut(t, f.sendLogout(token))
	f.sendLogout(token)
	f.sendLogout("x")
	f.sendLogout(f.logoutToken(issuer, map[string]any{"iat": f.now().Std().Unix() + 60})) // of the future
	f.redis.Kill()
	f.sendLogout(f.logoutToken(issuer, map[string]any{"sub": "bob"}))
	want(counted("", 0, 0, 1, 1) + counted("test", 1, 1, 1, 0))
}
