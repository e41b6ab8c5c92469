package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	operators "github.com/cloakroom-dev/cloakroom/httpapi/admin"
	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/httpapi/webhook"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/oidc/oidctest"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
	"github.com/cloakroom-dev/cloakroom/upstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// produced notes which statuses and headers operations have answered with.
type produced struct {
	t    *testing.T
	mu   sync.Mutex
	seen map[string]bool
}

// saw notes an exchange.
func (p *produced) saw(op *contractOperation, e *exchanged) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[fmt.Sprintf("%s %d", op.id, e.status)] = true
	for name := range e.header {
		p.seen[fmt.Sprintf("%s %d %s", op.id, e.status, name)] = true
	}
}

// fixture is a fixture whose exchanges are noted.
func (p *produced) fixture(change ...func(*setup)) *fixture {
	f := newFixture(p.t, change...)
	f.saw = p.saw
	return f
}

// everyOperation calls do for every operation that documents status, all at a time.
func (p *produced) everyOperation(status int, do func(op *contractOperation)) {
	var all sync.WaitGroup
	for _, op := range theContract().operations {
		if op.answers[status] != nil {
			all.Go(func() { do(op) })
		}
	}
	all.Wait()
}

func isAdmin(op *contractOperation) bool {
	return slices.Contains(outsideRoutes[2:], op.method+" "+op.path)
}

func isVerify(op *contractOperation) bool { return strings.HasPrefix(op.id, "Verify") }

func isConnect(op *contractOperation) bool { return strings.HasPrefix(op.id, "Connect") }

// needsCredentials says whether an operation is refused without an API key.
func needsCredentials(op *contractOperation) bool {
	return op.answers[http.StatusTooManyRequests] != nil
}

// Everything that the document says of answers happens: each status and each header of each operation is in an answer to a
// request of the golden files, or to one of those below.
func TestOpenAPI_WhatIsDocumentedHappens(t *testing.T) {
	p := &produced{t: t, seen: map[string]bool{}}
	for _, part := range []func(){
		p.golden, p.badRequests, p.slow, p.strangers, p.limited, p.bugs, p.starting, p.away, p.conflicts, p.replicas, p.upstream, p.verify, p.issuers, p.about, p.admin,
	} {
		part()
	}
	c := theContract()
	for _, op := range c.operations {
		for _, status := range slices.Sorted(maps.Keys(op.answers)) {
			if !p.seen[fmt.Sprintf("%s %d", op.id, status)] {
				t.Errorf("%s: nothing is answered with %d", op.id, status)
				continue
			}
			for _, name := range slices.Sorted(maps.Keys(op.answers[status].headers)) {
				if !p.seen[fmt.Sprintf("%s %d %s", op.id, status, name)] {
					t.Errorf("%s: no answer with %d has the header %s", op.id, status, name)
				}
			}
		}
	}
}

// golden sends the golden files.
func (p *produced) golden() {
	for _, file := range goldenFiles(p.t) {
		g := newGoldenRun(p.t, goldenSetup)
		g.saw = p.saw
		for _, e := range readGolden(p.t, file) {
			g.send(&e)
		}
	}
}

// badRequests are wrong before anybody looks at what they ask for.
func (p *produced) badRequests() {
	f := p.fixture(withEvents(takeAll), withVerify)
	f.trust(issuersFile)
	p.each(f, 400, func(q *provoking) { q.length, q.headers = 2, append(q.headers, "Transfer-Encoding: chunked") })
	p.each(f, 401, func(q *provoking) { q.headers = slices.DeleteFunc(q.headers, isCredential) })
	p.each(f, 413, func(q *provoking) { q.body = strings.Repeat(" ", 2<<20) })
	p.each(f, 415, func(q *provoking) {
		if isConnect(q.op) {
			q.headers = slices.DeleteFunc(q.headers, func(line string) bool { return strings.HasPrefix(line, "Content-Type") })
		}
		q.body, q.headers = cmp.Or(q.body, "{}"), append(q.headers, "Content-Encoding: gzip")
	})
	p.each(f, 417, func(q *provoking) { q.headers = append(q.headers, "Expect: more") })
	p.each(f, 431, func(q *provoking) { q.headers = append(q.headers, "X: "+strings.Repeat("x", 70<<10)) })
	f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/s1", `{}`)
	p.each(f, 501, func(q *provoking) {
		if isConnect(q.op) {
			q.headers = append(q.headers, "Content-Encoding: gzip")
		} else {
			q.body = `{"checks":{"password":{}}}`
		}
	})
}

// slow requests do not come to their end: they end in their headers, or in their bodies.
func (p *produced) slow() {
	f := p.fixture(withEvents(takeAll), withVerify, func(s *setup) { s.limits.Read, s.limits.pause = 300*time.Millisecond, 300*time.Millisecond })
	f.trust(issuersFile)
	endless := func(q *provoking) { q.body, q.length = "{", 20 }
	p.each(f, 408, func(q *provoking) {
		if endless(q); isConnect(q.op) || q.op.bodyType == "" && !needsCredentials(q.op) {
			q.body, q.length, q.halt = "", 0, true // nobody waits for its body
		}
	})
	p.each(f, 504, endless)
}

// each sends a request for every operation that documents status, which it must be answered with. A machine with other
// work to do may be too late for a slow one.
func (p *produced) each(f *fixture, status int, change func(q *provoking)) {
	good := zitadeltest.Signature(f.now().Std(), nil, eventKey)
	p.everyOperation(status, func(op *contractOperation) {
		if isAdmin(op) || isVerify(op) {
			return
		}
		secret := ""
		if needsCredentials(op) {
			secret = f.secret["admin"]
		}
		got := 0
		for range 5 {
			if got = p.provoke(f.addr, secret, op, func(q *provoking) {
				if op.id == "ZITADELEvent" {
					q.headers = append(q.headers, "ZITADEL-Signature: "+good)
				}
				change(q)
			}); got != http.StatusRequestTimeout {
				break
			}
			if status == http.StatusRequestTimeout {
				return
			}
		}
		if got != status {
			p.t.Errorf("%s: got %d, want %d", op.id, got, status)
		}
	})
}

func isCredential(line string) bool {
	return strings.HasPrefix(line, "Authorization") || strings.HasPrefix(line, "ZITADEL-Signature")
}

// strangers come without credentials, where none are asked for, from elsewhere.
func (p *produced) strangers() {
	f := p.fixture(withEvents(takeAll), func(s *setup) { s.config.Anonymous = true })
	p.everyOperation(403, func(op *contractOperation) {
		if !isAdmin(op) && !isVerify(op) {
			p.provoke(f.addr, "", op, func(q *provoking) { q.host = "example.com" })
		}
	})
}

// limited is a caller above its rate.
func (p *produced) limited() {
	f := p.fixture(func(s *setup) { s.config.KeyRate = caller.KeyRate{PerSecond: 0.001, Burst: 1} })
	f.want(http.StatusOK, "admin", "POST", "/v2/sessions/search", `{}`)
	p.everyOperation(429, func(op *contractOperation) { p.provoke(f.addr, f.secret["admin"], op, func(*provoking) {}) })
}

// bugs are panics below the handlers.
func (p *produced) bugs() {
	f := p.fixture(withEvents(func(upstream.Event) bool { panic("a bug") }))
	token := f.logoutToken(f.trust(issuersFile), map[string]any{"sub": "alice"})
	good := f.server.config
	f.broken(good, nil).sendLogout(token)
	f.broken(good, nil).sendEvent(anEvent)
	good.Event = nil
	g := f.broken(good, new(cache.Store))
	sessionToken, _ := session.NewToken("s1") // who has it is looked for in the store
	p.everyOperation(500, func(op *contractOperation) {
		if needsCredentials(op) {
			p.provoke(g.addr, sessionToken, op, func(*provoking) {})
		}
	})
}

// broken is f with a server with this configuration, which panics when it asks its store; a callers' store has it if it is not nil.
func (f *fixture) broken(c Config, store *cache.Store) *fixture {
	f.t.Helper()
	if store != nil {
		c.Store = store
	}
	g := &fixture{t: f.t, logs: f.logs, secret: f.secret, saw: f.saw}
	g.clock.Store(f.clock.Load())
	var err error
	if g.server, err = New(c); err != nil {
		f.t.Fatal(err)
	}
	g.server.Callers.SetKeys(f.apiKeys)
	g.server.Callers.SetIssuers(f.server.Callers.Issuers())
	g.server.config.Store = store
	g.serve()
	return g
}

// starting is a program whose store is not open yet.
func (p *produced) starting() {
	for _, forVerify := range []bool{false, true} {
		ln := listen(p.t)
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() {
			ended <- RunUnavailable(ctx, ln, forVerify, &Config{Logger: slog.New(slog.DiscardHandler), MaxHeaderBytes: 16 << 10})
		}()
		p.everyOperation(503, func(op *contractOperation) {
			if !isAdmin(op) && isVerify(op) == forVerify {
				p.provoke(ln.Addr().String(), "", op, func(*provoking) {})
			}
		})
		stop()
		if err := <-ended; err != nil {
			p.t.Error(err)
		}
	}
}

// away is a Redis that is away.
func (p *produced) away() {
	full := true
	f := p.fixture(withVerify, withEvents(func(upstream.Event) bool { return !full }), func(s *setup) { s.limits.patience = 0 })
	issuer := f.trust(issuersFile)
	token := f.logoutToken(issuer, map[string]any{"sub": "alice"})
	f.sendEvent(anEvent)
	f.proxy.Refuse(true)
	f.proxy.CutAll()
	f.sendLogout(token)
	f.do("", "GET", "/verify/p/lax", "", "X-Session-Token", "s1.x")
	f.do("admin", "POST", "/v2/sessions/import", `{"id":"s"}`)
	p.everyOperation(503, func(op *contractOperation) {
		if needsCredentials(op) {
			p.provoke(f.addr, f.secret["admin"], op, func(*provoking) {})
		}
	})
}

// conflicts are writes that another writer overtakes each time.
func (p *produced) conflicts() {
	f := p.fixture()
	f.put("s1=alice")
	space, err := keys.NewSpace(keys.DefaultPrefix, 1)
	if err != nil {
		p.t.Fatal(err)
	}
	faults, other := new(redistest.Faults), f.redis.Client(p.t)
	g := &fixture{t: p.t, logs: f.logs, secret: f.secret, saw: p.saw}
	if g.server, err = New(f.second(faults).server.config); err != nil {
		p.t.Fatal(err)
	}
	g.server.limit(func(l *limits) { l.request = time.Minute })
	g.server.Callers.SetKeys(f.apiKeys)
	g.serve()
	n := 0
	var lock sync.Mutex
	faults.Arm(redistest.Cut{Before: func(_ int, list []redis.Cmder) error {
		for _, cmd := range list {
			if strings.HasPrefix(cmd.Name(), "eval") {
				lock.Lock()
				defer lock.Unlock()
				n++
				return other.HSet(context.Background(), space.Session("s1"), "v", fmt.Sprintf("%08d", n)).Err()
			}
		}
		return nil
	}})
	p.everyOperation(409, func(op *contractOperation) {
		if !slices.Contains([]string{"PutSession", "ImportSessions"}, op.id) {
			p.provoke(g.addr, g.secret["admin"], op, func(q *provoking) {
				if strings.Contains(op.id, "Set") {
					q.body = `{"sessionId":"s1","metadata":{"a":"YQ=="}}`
				}
			})
		}
	})
	faults.Arm(redistest.Cut{})
}

// replicas are waited for, and there are none.
func (p *produced) replicas() {
	f := p.fixture(withReplicas)
	for _, op := range theContract().operations {
		if strings.HasSuffix(op.id, "DeleteSession") {
			p.provoke(f.addr, f.secret["admin"], op, func(*provoking) {})
		}
	}
	issuer := f.trust(issuersFile)
	f.sendLogout(f.logoutToken(issuer, map[string]any{"sid": "s1"}))
}

// upstream is a ZITADEL that the sessions live in.
func (p *produced) upstream() {
	f := newUpstreamFixture(p.t, withReplicas)
	f.saw = p.saw
	f.want(http.StatusConflict, "admin", "PUT", "/v2/sessions/s1", `{}`)
	f.want(http.StatusConflict, "admin", "POST", "/v2/sessions/import", ``)
	id, _ := f.create()
	body := `{"queries":[{"idsQuery":{"ids":["` + id + `"]}}]}`
	f.zitadel.Fail("DeleteSession", 2, zitadeltest.Failure{Status: http.StatusForbidden})
	f.want(http.StatusBadGateway, "admin", "POST", "/v2/sessions/revoke", body)
	issuer := f.trust(issuersFile)
	f.sendLogout(f.logoutToken(issuer, map[string]any{"sid": id}))
}

// verify has the headers that only some answers have.
func (p *produced) verify() {
	f := p.fixture(withVerify, inEarnest, withNear, withAssertions(asserting(p.t, testfile.SigningKey(p.t))), func(s *setup) {
		s.store.StaleIfError, s.store.NearStaleness = time.Hour, 500*time.Millisecond
	})
	requests := nearRequests(f)
	_, token := f.login(aliceVerified, `,"lifetime":"600s"`)
	startNear(f, requests["Search"])
	for hits := f.store.NearStats().Sessions.Hits; f.store.NearStats().Sessions.Hits == hits; {
		f.want(http.StatusOK, token, "GET", "/verify", "")
	}
	f.want(http.StatusUnauthorized, "", "GET", "/verify/p/lax", "")
	f.proxy.Stall(true)
	defer f.proxy.Stall(false)
	for _, path := range []string{"/verify", "/verify/p/lax"} {
		for f.want(http.StatusOK, token, "GET", path, "").header.Get("X-Session-Stale") == "" {
		}
		op := theContract().find("GET", path)
		p.provoke(f.addr, token, op, func(q *provoking) { q.headers = append(q.headers, "X: "+strings.Repeat("x", 70<<10)) })
	}
}

// issuers and a ZITADEL send what is good.
func (p *produced) issuers() {
	f := p.fixture(withEvents(takeAll))
	issuer := f.trust(issuersFile)
	f.sendLogout(f.logoutToken(issuer, map[string]any{"sub": "alice"}))
	f.sendLogout(oidctest.NewKey(p.t, "RS256").Sign(p.t, f.claims(issuer, nil)))
	f.sendEvent(anEvent)
	f.do("", "POST", webhook.Path, anEvent)
}

// about is what is known of the program.
func (p *produced) about() {
	f := p.fixture(withAssertions(asserting(p.t, testfile.SigningKey(p.t))))
	for _, path := range []string{"/openapi.json", "/docs", "/docs/style.css", "/.well-known/jwks.json"} {
		etag := f.want(http.StatusOK, "", "GET", path, "").header.Get("Etag")
		if etag != "" {
			f.want(http.StatusNotModified, "", "GET", path, "", "If-None-Match", etag)
		}
	}
}

// brokenMetric cannot be read.
type brokenMetric struct{}

func (brokenMetric) Describe(chan<- *prometheus.Desc) {}

func (brokenMetric) Collect(to chan<- prometheus.Metric) {
	to <- prometheus.NewInvalidMetric(prometheus.NewDesc("broken", "Is broken.", nil, nil), errors.New("broken"))
}

// admin is the listener for operators.
func (p *produced) admin() {
	good, broken := prometheus.NewRegistry(), prometheus.NewRegistry()
	broken.MustRegister(brokenMetric{})
	for _, c := range []operators.Config{
		{Metrics: good},
		{},
		{Metrics: broken, Ready: func(context.Context) error { return session.ErrUnavailable }},
		{Ready: func(context.Context) error { panic("a bug") }},
	} {
		c.Logger = slog.New(slog.DiscardHandler)
		ln := listen(p.t)
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		c.ReadTimeout = 100 * time.Millisecond
		a := operators.New(c)
		go func() { ended <- a.Run(ctx, ln, time.Minute) }()
		p.everyOperation(200, func(op *contractOperation) {
			if !isAdmin(op) {
				return
			}
			for _, change := range []func(*provoking){
				func(*provoking) {},
				func(q *provoking) { q.host = "example.com" },
				func(q *provoking) { q.halt = true },
				func(q *provoking) { q.headers = append(q.headers, "no header") },
				func(q *provoking) { q.headers = append(q.headers, "X: "+strings.Repeat("x", 20<<10)) },
			} {
				p.provoke(ln.Addr().String(), "", op, change)
			}
		})
		stop()
		if err := <-ended; err != nil {
			p.t.Error(err)
		}
	}
}
