package httpapi

import (
	"context"
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
	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/httpapi/verify"
	"github.com/cloakroom-dev/cloakroom/internal/leaks"
	"github.com/cloakroom-dev/cloakroom/internal/observed"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
	"github.com/redis/go-redis/v9"
)

func TestMain(m *testing.M) {
	testdepth.Parallel(4) // many wait
	leaks.Verify(m)
}

// start is where the driven clock of a test begins: far in the future, so that
// Redis itself, which knows the real time, expires nothing.
var start = time.Date(2050, 1, 2, 3, 4, 5, 0, time.UTC)

// fixture is a server on a real Redis, with a clock that the test drives.
type fixture struct {
	t      testing.TB
	redis  *redistest.Server
	proxy  *redistest.Proxy // between the store and Redis
	store  *cache.Store
	server *Server
	url    string
	addr   string
	logs   *observed.Log
	client *http.Client
	clock  atomic.Int64
	secret map[string]string // of the API keys, by name
	// apiKeys are those that the server begins with.
	apiKeys *caller.APIKeys
	// saw is told every exchange that do, try and stream make, if it is set.
	saw func(*contractOperation, *exchanged)
}

// setup is what a test changes before its server starts.
type setup struct {
	shards int
	config Config
	store  cache.Config
	limits limits
	redis  *redistest.Server // nil: one of its own
}

// testKeys are the API keys of every fixture.
var testKeys = []caller.APIKey{
	{Name: "admin", UserID: "svc-admin", Permissions: []string{"session.read", "session.write", "session.delete"}},
	{Name: "reader", UserID: "svc-reader", Permissions: []string{"session.read"}},
	{Name: "writer", UserID: "svc-writer", Permissions: []string{"session.write"}},
	{Name: "deleter", UserID: "svc-deleter", Permissions: []string{"session.delete"}},
	{Name: "org", UserID: "svc-org", Permissions: []string{"session.read@org-1", "session.write@org-1", "session.delete@org-1"}},
	{Name: "nobody", UserID: "svc-nobody"},
	{Name: "alice", UserID: "alice", AgentID: "fp-alice"},
}

func newFixture(t testing.TB, change ...func(*setup)) *fixture {
	t.Helper()
	f := &fixture{t: t, logs: &observed.Log{}, secret: map[string]string{}}
	f.clock.Store(int64(session.TimeOf(start)))
	logger := slog.New(slog.NewTextHandler(f.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s := setup{shards: 1, limits: limits{defaultTimeouts, verify.DefaultTimeout}}
	s.limits.idleAtEnd = time.Second
	s.config = Config{InstanceID: "instance-1", Version: "1.2.3", Logger: logger}
	s.store = cache.Config{Clock: f.now, Logger: logger}
	for _, c := range change {
		c(&s)
	}
	if f.redis = s.redis; f.redis == nil {
		f.redis = redistest.Start(t)
	}
	f.proxy = redistest.NewProxy(t, f.redis.Addr)
	s.store.Shards = s.shards
	s.store.Redis = f.redis.Client(t, func(o *redis.Options) { o.Addr, o.DialerRetries = f.proxy.Addr, 1 })
	var err error
	if f.store, err = cache.Open(t.Context(), s.store); err != nil {
		t.Fatal(err)
	}
	s.config.Store = f.store
	if f.server, err = New(s.config); err != nil {
		t.Fatal(err)
	}
	f.server.limit(func(l *limits) { *l = s.limits })
	f.apiKeys = f.keys()
	f.server.Callers.SetKeys(f.apiKeys)
	f.serve()
	return f
}

// keys makes the API keys and remembers their secrets.
func (f *fixture) keys() *caller.APIKeys {
	var text []byte
	for _, k := range testKeys {
		f.secret[k.Name], k.SHA256 = caller.NewAPIKeySecret()
		var err error
		if text, err = caller.AppendAPIKey(text, k); err != nil {
			f.t.Fatal(err)
		}
	}
	keys, err := caller.ParseAPIKeys(text)
	if err != nil {
		f.t.Fatal(err)
	}
	return keys
}

func (f *fixture) serve() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.t.Fatal(err)
	}
	f.addr = ln.Addr().String()
	f.url = "http://" + f.addr
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	f.client = &http.Client{Transport: transport}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.server.Run(ctx, ln, 10*time.Second) }()
	f.t.Cleanup(func() {
		transport.CloseIdleConnections()
		stop()
		if err := <-ended; err != nil {
			f.t.Errorf("Run: %v", err)
		}
	})
}

func (f *fixture) now() session.Time { return session.Time(f.clock.Load()) }

func (f *fixture) advance(d time.Duration) { f.clock.Add(int64(d / time.Microsecond)) }

// reply is an answer, read to its end.
type reply struct {
	status int
	header http.Header
	body   string
	closed bool // the connection, by the server
}

// do sends a request as the caller with an API key of that name, "" for none.
func (f *fixture) do(as, method, path, body string, headers ...string) reply {
	f.t.Helper()
	r, err := f.try(as, method, path, body, headers...)
	if err != nil {
		f.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

func (f *fixture) try(as, method, path, body string, headers ...string) (reply, error) {
	return f.stream(as, method, path, strings.NewReader(body), headers...)
}

// stream sends a request whose body is read as it goes.
func (f *fixture) stream(as, method, path string, body io.Reader, headers ...string) (reply, error) {
	f.t.Helper()
	var sent strings.Builder
	if text, ok := body.(*strings.Reader); ok { // others may be long
		_, _ = text.WriteTo(&sent)
		body = strings.NewReader(sent.String())
	}
	req, err := http.NewRequestWithContext(f.t.Context(), method, f.url+path, body)
	if err != nil {
		return reply{}, err
	}
	if as != "" {
		secret, known := f.secret[as]
		if !known {
			secret = as // a token
		}
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
			continue
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := f.client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	r := reply{res.StatusCode, res.Header, string(text), res.Close}
	if err == nil {
		f.conforms(&exchanged{method, path, sent.String(), r})
	}
	return r, err
}

// want sends a request and fails the test unless it is answered with status.
func (f *fixture) want(status int, as, method, path, body string, headers ...string) reply {
	f.t.Helper()
	r := f.do(as, method, path, body, headers...)
	if r.status != status {
		f.t.Fatalf("%s %s as %q: got %d %s, want %d", method, path, as, r.status, r.body, status)
	}
	return r
}

// eachShards runs a test with one shard and with four.
func eachShards(t *testing.T, test func(t *testing.T, shards int)) {
	for _, shards := range []int{1, 4} {
		t.Run(fmt.Sprintf("shards=%d", shards), func(t *testing.T) { test(t, shards) })
	}
}

func withShards(n int) func(*setup) { return func(s *setup) { s.shards = n } }
