// Package httpapi serves ZITADEL's session API, v2 and v2beta, over REST and
// Connect: it decodes, authenticates, authorises, asks the store, and encodes. It is the
// only package that knows HTTP, and the only place where an error becomes a
// status.
//
// It keeps no session and no index of its own, makes no decision about which
// sessions match a search, and does not speak HTTP/2; a server.TLSListener gives it TLS.
// Nothing that points into a buffer of the HTTP server leaves the package (I8),
// and no secret reaches a log line, an error or a metric (I6).
//
// Operating range: thousands of connections, request bodies up to
// Config.MaxBodyBytes, pages up to Config.MaxLimit sessions, imports of any
// length in constant memory.
package httpapi

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/httpapi/forward"
	"github.com/cloakroom-dev/cloakroom/httpapi/protocol"
	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/cloakroom-dev/cloakroom/httpapi/verify"
	"github.com/cloakroom-dev/cloakroom/httpapi/webhook"
	"github.com/cloakroom-dev/cloakroom/upstream"
	"github.com/prometheus/client_golang/prometheus"
)

// Config configures a Server. Store is required; other zero fields mean their
// defaults.
type Config struct {
	Store *cache.Store
	// InstanceID is the resource owner that answers to writes name.
	InstanceID string
	// Anonymous gives callers without credentials all permissions, under the
	// user ID "anonymous". Requests over TCP must then name a loopback host and
	// not come from a web page of another site, which could otherwise reach the
	// API by DNS rebinding, or by a plain POST.
	Anonymous bool
	// CORSOrigins are the origins whose web pages may call the API, as
	// CheckOrigins takes them.
	CORSOrigins []string
	// DefaultLimit is how many sessions a search without a limit answers; default 1000.
	DefaultLimit int
	// MaxLimit is the largest limit that a search may ask for; default 1000.
	MaxLimit int
	// MaxBodyBytes is the size of the largest request body, except for imports; default 256 KiB.
	MaxBodyBytes int
	// MaxHeaderBytes is the size of the largest request line and headers, together,
	// of requests to the API and to verify; default 64 KiB. Each connection has a
	// buffer for them, and the larger it is the fewer connections there may be.
	MaxHeaderBytes int
	// MaxSessionBytes is the size of the largest session, as JSON; default 16 KiB.
	MaxSessionBytes int
	// DefaultLifetime is that of a session created without one; 0 never expires.
	DefaultLifetime time.Duration
	// MaxLifetime is the longest lifetime that a caller may ask for; 0 has no
	// limit. It needs a DefaultLifetime. It does not bind the dates that Put and
	// Import state.
	MaxLifetime time.Duration
	// KeyRate limits each API key that has no limit of its own.
	KeyRate caller.KeyRate
	// MaxInFlight is how many reads, verifies among them, may be at work at a
	// time; above that they are answered 503 at once. Writes have half of it,
	// searches a quarter, imports and revocations a 64th, but at least 12, each
	// apart from the others. Default 1024.
	MaxInFlight int
	// TrustedProxies are believed about where a request came from; default
	// DefaultTrustedProxies.
	TrustedProxies *caller.TrustedProxies
	// ShutdownIdle is how long connections without a request stay open when the
	// server ends, for requests that are on their way; 0 ends them at once.
	ShutdownIdle time.Duration
	// Upstream is the ZITADEL whose sessions the Store keeps copies of; nil: the Store is their home.
	Upstream *upstream.Client
	// UpstreamTimeout is how long a call of Upstream takes at most.
	UpstreamTimeout time.Duration
	// PermissionAge is how long a caller whose credentials only Upstream knows, and who was shown a session by
	// that, is shown the same version from a copy; 0: Upstream is asked each time.
	PermissionAge time.Duration
	// Event takes an event that the ZITADEL has sent by itself, to be applied soon, and says whether it does. It does not wait.
	// nil: there is no route for events.
	Event func(upstream.Event) bool
	// EventKeys are the keys that may sign events; with Event it is required.
	EventKeys func() *upstream.EventKeys
	// Verify configures the endpoint that gateways ask.
	Verify verify.Config
	// Version is what GET /version answers; default "unknown".
	Version string
	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// Metrics registers the server's metrics; nil has none.
	Metrics prometheus.Registerer
}

const (
	defaultLimit           = 1000
	defaultMaxBodyBytes    = 256 << 10
	defaultMaxHeaderBytes  = 64 << 10
	defaultMaxSessionBytes = 16 << 10

	// LeastHeaderBytes and MostHeaderBytes are the bounds of MaxHeaderBytes.
	LeastHeaderBytes = 8 << 10
	MostHeaderBytes  = 256 << 10
)

// Server answers the session API. Make it with New. It is safe for concurrent
// use, and may serve several listeners at once.
type Server struct {
	// Callers identifies callers. Its keys and issuers may be set at any time.
	Callers *caller.Authenticator

	config  Config
	log     *slog.Logger
	metrics *server.Metrics
	limits  timeouts

	verify   *verify.Endpoint
	budgets  [classes]*server.Budget
	shedTold server.OncePerSecond
	// Imports, back-channel logouts, revocations and their dry runs have places of their own.
	imports, logouts, revocations, counts server.Budget
	logoutCounts                          logoutCounts
	permissions                           *forward.Permissions
	events                                *webhook.Receiver // nil without Config.Event
	largeEvents                           server.Budget
}

// New checks c and returns a server without API keys and issuers. It starts no goroutine;
// Run does the work.
func New(c Config) (*Server, error) {
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(c.Store == nil, "httpapi: Store is missing")
	fault(c.Event != nil && c.EventKeys == nil, "httpapi: Event needs EventKeys")
	for _, n := range []struct {
		name  string
		value int
	}{
		{"DefaultLimit", c.DefaultLimit},
		{"MaxLimit", c.MaxLimit},
		{"MaxBodyBytes", c.MaxBodyBytes},
		{"MaxHeaderBytes", c.MaxHeaderBytes},
		{"MaxSessionBytes", c.MaxSessionBytes},
		{"MaxInFlight", c.MaxInFlight},
	} {
		fault(n.value < 0, "httpapi: %s must not be negative, got %d", n.name, n.value)
	}
	fault(c.MaxHeaderBytes > 0 && c.MaxHeaderBytes < LeastHeaderBytes || c.MaxHeaderBytes > MostHeaderBytes,
		"httpapi: MaxHeaderBytes must be from %d to %d, got %d", LeastHeaderBytes, MostHeaderBytes, c.MaxHeaderBytes)
	fault(c.DefaultLifetime < 0, "httpapi: DefaultLifetime must not be negative, got %s", c.DefaultLifetime)
	fault(c.MaxLifetime < 0, "httpapi: MaxLifetime must not be negative, got %s", c.MaxLifetime)
	if c.MaxLimit == 0 {
		c.MaxLimit = max(defaultLimit, c.DefaultLimit)
	}
	if c.DefaultLimit == 0 {
		c.DefaultLimit = min(defaultLimit, c.MaxLimit)
	}
	fault(c.DefaultLimit > c.MaxLimit, "httpapi: DefaultLimit (%d) must not be above MaxLimit (%d)", c.DefaultLimit, c.MaxLimit)
	fault(c.MaxLifetime > 0 && c.DefaultLifetime > c.MaxLifetime,
		"httpapi: DefaultLifetime (%s) must not be above MaxLifetime (%s)", c.DefaultLifetime, c.MaxLifetime)
	fault(c.MaxLifetime > 0 && c.DefaultLifetime == 0,
		"httpapi: MaxLifetime (%s) needs a DefaultLifetime: without one, sessions never expire", c.MaxLifetime)
	fault(c.KeyRate.PerSecond < 0 || c.KeyRate.Burst < 0, "httpapi: KeyRate must not be negative")
	if err := CheckOrigins(c.CORSOrigins); err != nil {
		faults = append(faults, fmt.Errorf("httpapi: CORSOrigins: %w", err))
	}
	if err := c.Verify.Check(); err != nil {
		faults = append(faults, fmt.Errorf("httpapi: %w", err))
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	if c.MaxBodyBytes == 0 {
		c.MaxBodyBytes = defaultMaxBodyBytes
	}
	if c.MaxHeaderBytes == 0 {
		c.MaxHeaderBytes = defaultMaxHeaderBytes
	}
	if c.MaxSessionBytes == 0 {
		c.MaxSessionBytes = defaultMaxSessionBytes
	}
	if c.MaxInFlight == 0 {
		c.MaxInFlight = defaultMaxInFlight
	}
	if c.TrustedProxies == nil {
		c.TrustedProxies, _ = caller.ParseTrustedProxies(caller.DefaultTrustedProxies)
	}
	if c.Version == "" {
		c.Version = "unknown"
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	s := &Server{
		config: c, log: c.Logger, limits: defaultTimeouts,
		imports: server.Budget{Limit: maxImports}, logouts: server.Budget{Limit: maxLogouts}, revocations: server.Budget{Limit: maxRevocations}, counts: server.Budget{Limit: maxCounts},
		largeEvents: server.Budget{Limit: webhook.Places},
	}
	s.limits.idleAtEnd = c.ShutdownIdle
	if c.Upstream != nil {
		s.limits.request += c.UpstreamTimeout
		s.permissions = forward.NewPermissions(c.PermissionAge)
	}
	if c.Event != nil {
		clock := func() time.Time { return c.Store.Now().Std() }
		events, err := webhook.New(webhook.Config{Keys: c.EventKeys, Clock: clock, Take: c.Event, Metrics: c.Metrics})
		if err != nil {
			return nil, fmt.Errorf("httpapi: %w", err)
		}
		s.events = events
	}
	m, err := server.NewMetrics(c.Metrics)
	if err != nil {
		return nil, fmt.Errorf("httpapi: %w", err)
	}
	s.metrics = m
	if s.Callers, err = caller.New(caller.Config{Store: c.Store, Anonymous: c.Anonymous, KeyRate: c.KeyRate, Upstream: c.Upstream != nil, Metrics: c.Metrics}); err != nil {
		return nil, fmt.Errorf("httpapi: %w", err)
	}
	s.logoutCounts.issuers = s.Callers.Issuers
	if c.Metrics != nil {
		if err := c.Metrics.Register(&s.logoutCounts); err != nil {
			return nil, fmt.Errorf("httpapi: %w", err)
		}
	}
	if s.budgets, err = newBudgets(c.MaxInFlight, c.Metrics); err != nil {
		return nil, fmt.Errorf("httpapi: %w", err)
	}
	if s.verify, err = verify.New(c.Verify, verify.Dependencies{
		Store: c.Store, Issuers: s.Callers.Issuers, Reads: s.budgets[classRead], Overloaded: s.tellShed, Proxies: c.TrustedProxies, Timeout: verify.DefaultTimeout,
		Logger: c.Logger, Route: m.Of(verify.Path, protocol.REST.String()), Metrics: c.Metrics,
	}); err != nil {
		return nil, fmt.Errorf("httpapi: %w", err)
	}
	return s, nil
}
