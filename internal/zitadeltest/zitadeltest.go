// Package zitadeltest is a double of ZITADEL for tests and for bench zitadel: a real HTTP server on loopback with ZITADEL's session service (v2 and
// v2beta; REST, Connect, gRPC and gRPC-Web), its event search, the part of Actions v2 that sends events to targets, the calls that
// change a user's state, and the token endpoint for service accounts.
//
// It behaves as a real ZITADEL was recorded to behave (testdata), no kinder: replay_test.go holds it against the recordings. What
// no recording shows follows ZITADEL's protos and documents, and its comment says so. What it cannot do it refuses with 501.
//
// Its settings can make it slow, broken, and late while it runs (Settings, Fail, Hold), and a test may do and see everything
// directly, without a request (CreateSession, Lock, See).
package zitadeltest

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"
)

// Server is a running ZITADEL with one instance. It is safe for concurrent use, but for Stop, Restart and Close. It keeps all that
// is created, and its events, until it ends.
type Server struct {
	// URL is where it is reached; it stays the same over Restart.
	URL string
	// InstanceID and OrganizationID are the IDs of its instance, and of the organization that users are in by default.
	InstanceID, OrganizationID string
	// Admin is a service account that may do everything (IAM_OWNER), Login one that may do what a login application must
	// (IAM_LOGIN_CLIENT): create, read, change and delete sessions, but not search events. Nobody may do nothing.
	Admin, Login, Nobody Account

	t       testing.TB // nil: no test has started it
	tls     *tls.Config
	handler http.Handler
	server  *http.Server
	served  chan error
	cancel  context.CancelFunc // ends the requests that run
	sealer  *sealer
	control control
	feed    *feed

	mu       sync.Mutex
	offset   time.Duration // of its clock
	last     time.Time     // the last date that was given to an event
	lastID   int64
	orgs     map[string]bool
	users    map[string]*user // by ID
	byLogin  map[string]*user
	keys     map[string]*serviceKey // of service accounts, by key ID
	bearers  map[string]bearer      // access tokens that are no session tokens
	models   map[string]*writeModel // of sessions, by ID
	rows     map[string]*row        // the sessions that Get reads, by ID
	created  uint64                 // how many rows were made
	lists    listView
	sequence map[string]uint64 // of aggregates
	events   []Event
	targets  map[string]*target
	actions  map[string][]string // the IDs of targets, by condition
}

// Account is a service account.
type Account struct{ UserID, Token string }

// Config says how a server is started. The zero Config is good.
type Config struct {
	// Addr is where it listens, HOST:PORT; empty: on a free port of loopback.
	Addr string
	// TLS has its certificates; nil: it speaks plain HTTP.
	TLS *tls.Config
}

// Option changes how a server is started.
type Option func(*Config)

// WithTLS lets it speak TLS, with config's certificates.
func WithTLS(config *tls.Config) Option { return func(c *Config) { c.TLS = config } }

// Start starts a double that holds three service accounts and nothing else. It ends with the test.
func Start(t testing.TB, options ...Option) *Server {
	t.Helper()
	var config Config
	for _, option := range options {
		option(&config)
	}
	s, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	s.t = t
	t.Cleanup(s.Stop)
	return s
}

// New starts a double without a test, until Close. What waits for something, or fails a test, panics there.
func New(config Config) (*Server, error) {
	s := &Server{
		tls: config.TLS, sealer: newSealer(), orgs: map[string]bool{}, users: map[string]*user{}, byLogin: map[string]*user{}, keys: map[string]*serviceKey{},
		bearers: map[string]bearer{}, models: map[string]*writeModel{}, rows: map[string]*row{}, lists: listView{rows: map[string]*row{}},
		sequence: map[string]uint64{}, targets: map[string]*target{}, actions: map[string][]string{}, lastID: firstID,
	}
	s.control.counts, s.control.failures = map[string]int{}, map[string][]Failure{}
	s.feed = newFeed(&s.control)
	s.InstanceID = s.NewID()
	s.OrganizationID = s.AddOrganization()
	s.Admin = s.AddAccount("admin", Owner)
	s.Login = s.AddAccount("login-client", LoginClient)
	s.Nobody = s.AddAccount("nobody", NoRole)
	s.handler = s.routes()
	if err := s.listen(cmp.Or(config.Addr, "127.0.0.1:0")); err != nil {
		return nil, err
	}
	return s, nil
}

// test is the test that has started the server.
func (s *Server) test() testing.TB {
	if s.t == nil {
		panic("zitadeltest: no test has started this server")
	}
	return s.t
}

func (s *Server) listen(addr string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	ctx, cancel := context.WithCancel(context.Background())
	server := &http.Server{
		Handler: s.handler, ReadHeaderTimeout: 10 * time.Second, Protocols: protocols, TLSConfig: s.tls, BaseContext: func(net.Listener) context.Context { return ctx },
	}
	served := make(chan error, 1)
	s.server, s.served, s.cancel = server, served, cancel
	if s.tls == nil {
		s.URL = "http://" + ln.Addr().String()
		go func() { served <- server.Serve(ln) }()
	} else {
		s.URL = "https://" + ln.Addr().String()
		go func() { served <- server.ServeTLS(ln, "", "") }()
	}
	s.control.stop(false)
	s.feed.start()
	return nil
}

// Stop cuts all connections, refuses new ones, and sends no more events. All that it holds stays for Restart, events that were
// not sent yet too.
func (s *Server) Stop() {
	if err := s.Close(); err != nil {
		s.test().Errorf("the double ended: %v", err)
	}
}

// Close is Stop for a server that no test has started. It fails if the server had ended by itself.
func (s *Server) Close() error {
	if s.server == nil {
		return nil
	}
	s.control.releaseAll()
	s.cancel()
	_ = s.server.Close()
	err := <-s.served
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	// Close does not wait for handlers, whose connections are gone.
	s.control.stop(true)
	s.control.running.Wait()
	s.feed.stop()
	s.server = nil
	return err
}

// Restart starts a stopped server again, at the same address and with what it held.
func (s *Server) Restart() {
	s.test().Helper()
	u, err := url.Parse(s.URL)
	if err == nil {
		err = s.listen(u.Host)
	}
	if err != nil {
		s.test().Fatal(err)
	}
}

// Advance puts the server's clock forward.
func (s *Server) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offset += d
}

// now is the server's time. The caller holds mu.
func (s *Server) now() time.Time { return time.Now().Add(s.offset).UTC() }

// Now is the server's time.
func (s *Server) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now()
}

// date returns the date of the events of one request: no two requests have the same. The caller holds mu.
func (s *Server) date() time.Time {
	at := s.now().Truncate(time.Microsecond)
	if !at.After(s.last) {
		at = s.last.Add(time.Microsecond)
	}
	s.last = at
	return at
}

// wait waits, or returns ctx's error.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
