// Package zitadeltest is a double of ZITADEL for tests: a real HTTP server on loopback with ZITADEL's session service (v2 and
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

// Server is a running ZITADEL with one instance. It is safe for concurrent use, but for Stop and Restart.
type Server struct {
	// URL is where it is reached; it stays the same over Restart.
	URL string
	// InstanceID and OrganizationID are the IDs of its instance, and of the organization that users are in by default.
	InstanceID, OrganizationID string
	// Admin is a service account that may do everything (IAM_OWNER), Login one that may do what a login application must
	// (IAM_LOGIN_CLIENT): create, read, change and delete sessions, but not search events. Nobody may do nothing.
	Admin, Login, Nobody Account

	t       testing.TB
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

// Option changes how a server is started.
type Option func(*Server)

// WithTLS lets it speak TLS, with config's certificates.
func WithTLS(config *tls.Config) Option { return func(s *Server) { s.tls = config } }

// Start starts a double that holds three service accounts and nothing else. It ends with the test.
func Start(t testing.TB, options ...Option) *Server {
	t.Helper()
	s := &Server{
		t: t, sealer: newSealer(), orgs: map[string]bool{}, users: map[string]*user{}, byLogin: map[string]*user{}, keys: map[string]*serviceKey{},
		bearers: map[string]bearer{}, models: map[string]*writeModel{}, rows: map[string]*row{}, lists: listView{rows: map[string]*row{}},
		sequence: map[string]uint64{}, targets: map[string]*target{}, actions: map[string][]string{}, lastID: firstID,
	}
	s.control.counts, s.control.failures = map[string]int{}, map[string][]Failure{}
	s.feed = newFeed(&s.control)
	for _, option := range options {
		option(s)
	}
	s.InstanceID = s.NewID()
	s.OrganizationID = s.AddOrganization()
	s.Admin = s.AddAccount("admin", Owner)
	s.Login = s.AddAccount("login-client", LoginClient)
	s.Nobody = s.AddAccount("nobody", NoRole)
	s.handler = s.routes()
	s.listen("127.0.0.1:0")
	t.Cleanup(s.Stop)
	return s
}

func (s *Server) listen(addr string) {
	s.t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		s.t.Fatal(err)
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
}

// Stop cuts all connections, refuses new ones, and sends no more events. All that it holds stays for Restart, events that were
// not sent yet too.
func (s *Server) Stop() {
	if s.server == nil {
		return
	}
	s.control.releaseAll()
	s.cancel()
	_ = s.server.Close()
	if err := <-s.served; !errors.Is(err, http.ErrServerClosed) {
		s.t.Errorf("the double ended: %v", err)
	}
	// Close does not wait for handlers, whose connections are gone.
	s.control.stop(true)
	s.control.running.Wait()
	s.feed.stop()
	s.server = nil
}

// Restart starts a stopped server again, at the same address and with what it held.
func (s *Server) Restart() {
	s.t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	s.listen(u.Host)
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
