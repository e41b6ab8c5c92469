package console

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/httpapi"
	"github.com/cloakroom-dev/cloakroom/httpapi/admin"
	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/httpapi/console/live"
	"github.com/cloakroom-dev/cloakroom/httpapi/verify"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/leaks"
	"github.com/cloakroom-dev/cloakroom/internal/observed"
	"github.com/cloakroom-dev/cloakroom/internal/readiness"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/samples"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

func TestMain(m *testing.M) {
	redistest.Quiet()
	leaks.Verify(m)
}

// testKeys are the API keys of every fixture.
var testKeys = []caller.APIKey{
	{Name: "admin", UserID: "svc-admin", Permissions: []string{"session.read", "session.write", "session.delete"}},
	{Name: "second", UserID: "svc-second", Permissions: []string{"session.read", "session.delete"}},
	{Name: "reader", UserID: "svc-reader", Permissions: []string{"session.read"}},
	{Name: "org", UserID: "svc-org", Permissions: []string{"session.read@org-1", "session.delete@org-1"}},
}

// fixture is a console on an admin listener, of an API on a real Redis.
type fixture struct {
	t       testing.TB
	console *Console
	api     *httpapi.Server
	proxy   *redistest.Proxy // between the store and Redis
	store   *cache.Store
	addr    string
	logs    *observed.Log
	client  *http.Client
	secret  map[string]string // of the API keys, by name
	// stop ends the console's Run, and waits for it.
	stop func()
}

func newFixture(t testing.TB, change ...func(*Config)) *fixture {
	t.Helper()
	f := newUnready(t, change...)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.console.Run(ctx, f.api, 10*time.Second) }()
	var stopped atomic.Bool
	f.stop = func() {
		cancel()
		if stopped.CompareAndSwap(false, true) {
			if err := <-ended; err != nil {
				t.Errorf("Run: %v", err)
			}
		}
	}
	t.Cleanup(f.stop)
	eventually.Holds(t, "the console runs", func() bool {
		f.console.mu.Lock()
		defer f.console.mu.Unlock()
		return f.console.on != nil
	})
	return f
}

// newUnready returns a fixture whose console does not run.
func newUnready(t testing.TB, change ...func(*Config)) *fixture {
	t.Helper()
	f := &fixture{t: t, logs: &observed.Log{}, secret: map[string]string{}, client: &http.Client{
		Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	logger := slog.New(slog.NewTextHandler(f.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c := Config{Ready: func(context.Context) error { return nil }, Logger: logger, About: About{Version: "v1.2", Process: "host-1", Policies: []verify.Asked{}}}
	for _, do := range change {
		do(&c)
	}
	redisServer := redistest.Start(t)
	f.proxy = redistest.NewProxy(t, redisServer.Addr)
	var err error
	f.store, err = cache.Open(t.Context(), cache.Config{Logger: logger, Redis: redisServer.Client(t, func(o *redis.Options) { o.Addr, o.DialerRetries = f.proxy.Addr, 1 })})
	if err != nil {
		t.Fatal(err)
	}
	if f.api, err = httpapi.New(httpapi.Config{Store: f.store, Anonymous: c.Anonymous, Logger: logger}); err != nil {
		t.Fatal(err)
	}
	f.setKeys(testKeys...)
	c.Live = live.New(live.Config{
		Gatherer: prometheus.NewRegistry(), Store: func() live.Store { return f.store }, Logger: logger,
		Health: func(context.Context) []readiness.Part {
			return []readiness.Part{{Name: "redis", State: readiness.Good, Says: "answers"}}
		},
	})
	f.console = New(c)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.addr = ln.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- admin.New(admin.Config{Console: f.console, Logger: logger}).Run(ctx, ln, 10*time.Second)
	}()
	t.Cleanup(func() {
		f.client.CloseIdleConnections()
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return f
}

// setKeys makes these the API's keys. Secrets stay as they are.
func (f *fixture) setKeys(all ...caller.APIKey) {
	f.t.Helper()
	var text []byte
	for _, k := range all {
		if f.secret[k.Name] == "" {
			f.secret[k.Name], _ = caller.NewAPIKeySecret()
		}
		k.SHA256 = fmt.Sprintf("%x", sha256.Sum256([]byte(f.secret[k.Name])))
		var err error
		if text, err = caller.AppendAPIKey(text, k); err != nil {
			f.t.Fatal(err)
		}
	}
	keys, err := caller.ParseAPIKeys(text)
	if err != nil {
		f.t.Fatal(err)
	}
	f.api.Callers.SetKeys(keys)
}

// reply is an answer, read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

// send sends a request with nothing but these headers; one whose value is "" is left out.
func (f *fixture) send(method, path, body string, headers ...string) reply {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), method, "http://"+f.addr+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "identity")
	for i := 0; i < len(headers); i += 2 {
		switch {
		case headers[i] == "Host":
			req.Host = headers[i+1]
		case headers[i+1] == "":
			req.Header.Del(headers[i])
		default:
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	res, err := f.client.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, string(text)}
}

// browser is a page of the console that is open in a browser.
type browser struct {
	*fixture
	cookie string
	// proof is what its sign-in was answered, "1" before.
	proof string
}

// browser opens a page.
func (f *fixture) browser() *browser { return &browser{fixture: f, proof: "1"} }

// signIn opens a page and signs in with the key of that name.
func (f *fixture) signIn(as string) *browser {
	f.t.Helper()
	b := f.browser()
	r := b.want(200, "POST", "sign-in", `{"key":"`+f.secret[as]+`"}`)
	b.cookie, _, _ = strings.Cut(r.header.Get("Set-Cookie"), ";")
	b.proof = decoded[struct{ Proof string }](f.t, r).Proof
	if b.cookie == "" || b.proof == "" {
		f.t.Fatalf("got %v %s", r.header, r.body)
	}
	return b
}

// do sends what the page sends, with further headers.
func (b *browser) do(method, path, body string, headers ...string) reply {
	b.t.Helper()
	all := []string{"X-Console", b.proof, "Origin", "http://" + b.addr, "Sec-Fetch-Site", "same-origin", "Cookie", b.cookie}
	if method == "POST" {
		all = append(all, "Content-Type", "application/json")
	}
	return b.send(method, "/console/api/"+path, body, append(all, headers...)...)
}

// want is do, and fails the test unless it is answered with status.
func (b *browser) want(status int, method, path, body string, headers ...string) reply {
	b.t.Helper()
	r := b.do(method, path, body, headers...)
	if r.status != status {
		b.t.Fatalf("%s %s %s: got %d %s, want %d", method, path, body, r.status, r.body, status)
	}
	return r
}

// logIn stores a session of a user, and returns its ID and its token.
func (f *fixture) logIn(user, org string) (id, token string) {
	f.t.Helper()
	s, token := samples.Demo(f.store.Now())
	s.Factors.User.ID, s.Factors.User.OrganizationID = user, org
	if err := f.store.Put(f.t.Context(), s, nil); err != nil {
		f.t.Fatal(err)
	}
	return string(s.ID), token
}

// decoded returns a JSON answer.
func decoded[T any](t testing.TB, r reply) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		t.Fatalf("%v: %s", err, r.body)
	}
	return v
}
