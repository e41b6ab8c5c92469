package httpapi

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/httpapi/verify"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/oidc"
	"github.com/cloakroom-dev/cloakroom/internal/oidc/oidctest"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
	"github.com/redis/go-redis/v9"
	"github.com/valyala/fasthttp"
)

// jwtWorld is three processes at one Redis, an issuer, and a model of what has ended.
type jwtWorld struct {
	t         *testing.T
	r         *rand.Rand
	issuer    *oidctest.Issuer
	file      string
	connect   func() redis.UniversalClient
	clock     atomic.Int64
	processes [3]*jwtProcess

	logins []jwtLogin
	tokens []jwtToken
	sent   []string                // logout tokens that were taken
	gone   map[string]int          // sid: which process has ended it
	before map[string]session.Time // user: up to when its logins have ended
	ender  map[string]int          // user: which process has ended them last
	jti    int
	counts map[string]int
}

// users is how many there are.
const users = 16

type jwtLogin struct {
	sid, user string
	began     session.Time
}

type jwtToken struct {
	jwtLogin
	text string
}

// jwtProcess is one process.
type jwtProcess struct {
	store  *cache.Store
	handle fasthttp.RequestHandler
	admin  string
	stop   func()
}

const modelFile = `
issuers:
  - name: kc
    issuer: ISSUER
    audience: [cloakroom]
    logout: {audience: [gateway]}
    verify: {}
`

func newJWTWorld(t *testing.T, seed uint64, connect func() redis.UniversalClient) *jwtWorld {
	t.Logf("seed %d", seed)
	w := &jwtWorld{
		t: t, r: rand.New(rand.NewPCG(seed, 1)), issuer: oidctest.Start(t), connect: connect,
		gone: map[string]int{}, before: map[string]session.Time{}, ender: map[string]int{}, counts: map[string]int{},
	}
	w.clock.Store(int64(session.TimeOf(start)))
	w.file = testfile.Write(t, strings.ReplaceAll(modelFile, "ISSUER", w.issuer.URL))
	for i := range w.processes {
		w.processes[i] = w.start()
	}
	t.Cleanup(func() {
		for _, p := range w.processes {
			p.stop()
		}
	})
	return w
}

func (w *jwtWorld) now() session.Time { return session.Time(w.clock.Load()) }

// start starts a process that knows nothing yet.
func (w *jwtWorld) start() *jwtProcess {
	w.t.Helper()
	log := slog.New(slog.DiscardHandler)
	rdb := w.connect()
	store, err := cache.Open(w.t.Context(), cache.Config{
		Redis: rdb, Clock: w.now, NearBytes: 1 << 20, JWTs: true, RememberDeletions: 1000, Logger: log,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := New(Config{Store: store, Logger: log, Verify: verify.Config{Accepts: verify.AcceptJWTs}})
	if err != nil {
		w.t.Fatal(err)
	}
	s.limit(func(l *limits) { l.verify = 20 * time.Second })
	f := &fixture{t: w.t, secret: map[string]string{}}
	s.Callers.SetKeys(f.keys())
	settings, err := oidc.Load(w.file, os.ReadFile)
	if err != nil {
		w.t.Fatal(err)
	}
	v := oidc.New(oidc.Config{Clock: func() time.Time { return w.now().Std() }, Logger: log})
	v.Set(settings)
	store.SetEndsFor(v.EndsFor)
	s.Callers.SetIssuers(v)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- store.Run(ctx) }()
	go func() { ended <- v.Run(ctx) }()
	return &jwtProcess{
		store: store, admin: f.secret["admin"],
		handle: s.verify.Before(ctx, s.router(ctx, face{})),
		stop: func() {
			stop()
			for range 2 {
				if err := <-ended; err != nil {
					w.t.Error(err)
				}
			}
			_ = store.Close()
		},
	}
}

// do sends a request, and returns its status and the reason of a refusal.
func (p *jwtProcess) do(t *testing.T, method, uri, secret, kind, body string) (status int, reason string) {
	t.Helper()
	ctx := new(fasthttp.RequestCtx)
	ctx.Init2(nil, nil, false)
	raw := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\nContent-Type: %s\r\n", method, uri, len(body), kind)
	if secret != "" {
		raw += "Authorization: Bearer " + secret + "\r\n"
	}
	if err := ctx.Request.Header.Read(bufio.NewReader(strings.NewReader(raw + "\r\n"))); err != nil {
		t.Fatal(err)
	}
	if body != "" {
		ctx.Request.SetBodyStream(strings.NewReader(body), len(body))
	}
	p.handle(ctx)
	return ctx.Response.StatusCode(), string(ctx.Response.Header.Peek("X-Auth-Reason"))
}

// some is one of the processes.
func (w *jwtWorld) some() (int, *jwtProcess) {
	i := w.r.IntN(len(w.processes))
	return i, w.processes[i]
}

func (w *jwtWorld) sign(aud string, claims map[string]any) string {
	claims["iss"], claims["aud"], claims["iat"] = w.issuer.URL, aud, int64(w.now())/1e6
	return w.issuer.Sign(claims)
}

// login begins a login, or takes up one that is there: a refresh.
func (w *jwtWorld) token() {
	var l jwtLogin
	if len(w.logins) > 0 && w.r.IntN(2) == 0 {
		l = w.logins[w.r.IntN(len(w.logins))]
	} else {
		l = jwtLogin{fmt.Sprint("s", len(w.logins)), fmt.Sprint("u", w.r.IntN(users)), w.now() / 1e6 * 1e6}
		w.logins = append(w.logins, l)
	}
	w.jti++
	claims := map[string]any{"sub": l.user, "sid": l.sid, "auth_time": int64(l.began) / 1e6, "exp": int64(w.now())/1e6 + 1e6, "jti": w.jti}
	switch w.r.IntN(8) {
	case 0: // a token that names no session
		l.sid = ""
		delete(claims, "sid")
	case 1: // one that does not say when: it counts from its own iat
		l.began = w.now() / 1e6 * 1e6
		delete(claims, "auth_time")
	}
	w.tokens = append(w.tokens, jwtToken{l, w.sign("cloakroom", claims)})
}

// logout has the issuer send a logout token, or one that was taken before.
func (w *jwtWorld) logout(claims map[string]any) (by int, ok bool) {
	w.jti++
	claims["jti"] = fmt.Sprint("logout-", w.jti)
	claims["events"] = map[string]any{oidctest.LogoutEvent: map[string]any{}}
	text := w.sign("gateway", claims)
	if w.r.IntN(6) == 0 {
		w.counts["lost logout"]++
		return 0, false
	}
	by, p := w.some()
	w.post(p, text, http.StatusOK)
	w.sent = append(w.sent, text)
	return by, true
}

// post posts a logout token until the answer is final.
func (w *jwtWorld) post(p *jwtProcess, text string, want int) {
	w.t.Helper()
	body := url.Values{"logout_token": {text}}.Encode()
	eventually.Holds(w.t, fmt.Sprintf("a logout is answered %d", want), func() bool {
		status, _ := p.do(w.t, "POST", "/backchannel-logout", "", "application/x-www-form-urlencoded", body)
		if status != want && status != http.StatusServiceUnavailable && !(want == http.StatusOK && status == http.StatusBadRequest) {
			w.t.Fatalf("a logout: %d, want %d", status, want)
		}
		return status != http.StatusServiceUnavailable // used, if its note was done and the answer lost
	})
}

func (w *jwtWorld) endSession(sid string, by int) { w.gone[sid] = by }

func (w *jwtWorld) endUser(user string, until session.Time, by int) {
	if until >= w.before[user] {
		w.before[user], w.ender[user] = until, by
	}
}

// step does one thing.
func (w *jwtWorld) step() {
	switch n := w.r.IntN(20); {
	case n < 7:
		w.token()
	case n < 8: // by sid, sometimes of a login that has not begun
		sid := fmt.Sprint("s", w.r.IntN(len(w.logins)+2))
		if by, ok := w.logout(map[string]any{"sid": sid}); ok {
			w.endSession(sid, by)
		}
	case n < 9:
		user := fmt.Sprint("u", w.r.IntN(users))
		if by, ok := w.logout(map[string]any{"sub": user}); ok {
			w.endUser(user, w.now()/1e6*1e6, by)
		}
	case n < 10: // a token counts once, in whichever process
		if len(w.sent) > 0 {
			_, p := w.some()
			text := w.sent[w.r.IntN(len(w.sent))]
			status, _ := p.do(w.t, "POST", "/backchannel-logout", "", "application/x-www-form-urlencoded", url.Values{"logout_token": {text}}.Encode())
			if status == http.StatusOK { // the note that it was used was lost; that it is taken again ends nothing more
				w.counts["taken twice"]++
			}
		}
	case n < 11:
		by, p := w.some()
		user := fmt.Sprint("u", w.r.IntN(users))
		w.admin(p, "POST", "/v2/sessions/revoke", fmt.Sprintf(`{"queries":[{"userIdQuery":{"id":"kc:%s"}}]}`, user))
		w.endUser(user, w.now().Add(30*time.Second), by)
	case n < 12:
		by, p := w.some()
		sid := fmt.Sprint("s", w.r.IntN(len(w.logins)+2))
		w.admin(p, "DELETE", "/v2/sessions/kc:"+sid, "")
		w.endSession(sid, by)
	case n < 14:
		w.clock.Add(w.r.Int64N(40e6))
	default:
		w.check()
	}
}

// admin sends what an administrator asks for, until Redis is there.
func (w *jwtWorld) admin(p *jwtProcess, method, uri, body string) {
	w.t.Helper()
	eventually.Holds(w.t, method+" "+uri+" is answered", func() bool {
		status, _ := p.do(w.t, method, uri, p.admin, "application/json", body)
		if status != http.StatusOK && status != http.StatusServiceUnavailable {
			w.t.Fatalf("%s %s: %d", method, uri, status)
		}
		return status == http.StatusOK
	})
}

// check asks one process about one token.
func (w *jwtWorld) check() {
	if len(w.tokens) == 0 {
		return
	}
	i, p := w.some()
	w.checkToken(i, p, &w.tokens[w.r.IntN(len(w.tokens))])
}

func (w *jwtWorld) checkToken(i int, p *jwtProcess, token *jwtToken) {
	w.t.Helper()
	by, gone := w.gone[token.sid]
	late := token.began <= w.before[token.user]
	mine := gone && token.sid != "" && by == i || late && w.ender[token.user] == i
	ends := gone && token.sid != "" || late
	for first := true; ; first = false {
		status, reason := p.do(w.t, "GET", "/verify", token.text, "", "")
		switch {
		case status == http.StatusServiceUnavailable:
			eventually.Holds(w.t, "Redis is there", func() bool { return p.store.Ping(w.t.Context()) == nil })
		case ends && status == http.StatusUnauthorized && reason == "revoked":
			w.counts["refused"]++
			return
		case !ends && status == http.StatusOK:
			w.counts["passed"]++
			return
		case ends && status == http.StatusOK && !mine:
			// It has ended in another process: this one hears of it within the bound.
			w.counts["late"]++
			eventually.Holds(w.t, "an ended login is refused", func() bool {
				status, _ := p.do(w.t, "GET", "/verify", token.text, "", "")
				return status == http.StatusUnauthorized
			})
			return
		default:
			w.t.Fatalf("process %d, first %v: %d %q of %+v, want refused: %v, by itself: %v", i, first, status, reason, token.jwtLogin, ends, mine)
		}
	}
}

// checkAll asks every process about every token.
func (w *jwtWorld) checkAll() {
	for i, p := range w.processes {
		for k := range w.tokens {
			w.checkToken(i, p, &w.tokens[k])
		}
	}
}

// stored says whether Redis has all that has ended, and so much of it as it must.
func (w *jwtWorld) stored(raw *redis.Client) bool {
	space, err := keys.NewSpace(keys.DefaultPrefix, 1)
	if err != nil {
		w.t.Fatal(err)
	}
	has := func(name session.EndName, until session.Time) bool {
		text, _ := raw.Get(w.t.Context(), space.End(name)).Result()
		e, err := session.ParseEnd(text)
		return err == nil && e.NotAfter >= until
	}
	for sid := range w.gone {
		if !has(session.EndOfSession(session.ID("kc:"+sid)), session.Never) {
			return false
		}
	}
	for user, until := range w.before {
		if !has(session.EndOfUser("kc:"+user), until) {
			return false
		}
	}
	return true
}

// No token passes whose login has ended, by the time that the process must know; every other one does.
// Processes start anew, and Redis loses what it had since a snapshot.
func TestI4_JWTsAsTheModel(t *testing.T) {
	for seed := range uint64(testdepth.Of(6, 2)) {
		server := redistest.Start(t)
		raw := server.Client(t)
		w := newJWTWorld(t, seed, func() redis.UniversalClient {
			return server.Client(t, func(o *redis.Options) { o.DialerRetries = 1 })
		})
		for range testdepth.Of(400, 250) {
			switch w.r.IntN(60) {
			case 0:
				raw.Save(t.Context())
			case 1: // what a process knows goes with it, so Redis must have it, and not lose it
				eventually.Holds(t, "all ends are in Redis", func() bool { return w.stored(raw) })
				raw.Save(t.Context())
				i, p := w.some()
				p.stop()
				w.processes[i] = w.start()
				for sid, by := range w.gone {
					if by == i {
						w.gone[sid] = -1
					}
				}
				for user, by := range w.ender {
					if by == i {
						w.ender[user] = -1
					}
				}
			case 2:
				server.Kill()
				server.Restart()
				w.counts["thrown back"]++
			default:
				w.step()
			}
		}
		w.checkAll()
		t.Log(w.counts)
		if w.counts["refused"] == 0 || w.counts["passed"] == 0 {
			t.Error("this shows nothing")
		}
	}
}

// The same on a Cluster, whose masters change.
func TestI4_JWTsAsTheModel_Cluster(t *testing.T) {
	if !testdepth.OneIn(t, 2)(0) {
		return
	}
	cluster := redistest.StartCluster(t, redistest.ClusterConfig{})
	w := newJWTWorld(t, 1, func() redis.UniversalClient { return cluster.Client(t) })
	for range testdepth.Of(400, 150) {
		switch w.r.IntN(80) {
		case 0:
			cluster.Failover(w.r.IntN(16384))
			w.counts["failover"]++
		case 1:
			i, p := w.some()
			p.stop()
			w.processes[i] = w.start()
			w.counts["restart"]++
		default:
			w.step()
		}
	}
	w.checkAll()
	t.Log(w.counts)
}
