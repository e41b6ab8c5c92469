// Package console serves the console for on-call engineers at /console/ on the admin listener: its page, its sign-ins, the
// calls of a page, and the revocations that go on when a page is closed. Look here for cookies, guards against
// other sites, and files; what a call may do and answers is decided by the API, which the console asks on behalf of the
// API key that has signed in. The charts are in console/live, the page is in console/page.
package console

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi"
	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/httpapi/console/live"
	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/cloakroom-dev/cloakroom/internal/protojson"
	"github.com/valyala/fasthttp"
	"golang.org/x/sync/errgroup"
)

// Config configures a Console. Fields without a default are required.
type Config struct {
	// Ready says why requests cannot be answered yet, as /readyz does; nil: they can.
	Ready func(context.Context) error
	// Anonymous lets everybody in whose request names a loopback host, as the API's caller without credentials.
	Anonymous bool
	// Live is what the page is shown of what the program does. Run runs it.
	Live *live.Live
	// About is what the page is told of the program.
	About About
	// TrustedProxies are believed about where a request came from, for the log; default caller.DefaultTrustedProxies.
	TrustedProxies *caller.TrustedProxies
	// Logger defaults to slog.Default().
	Logger *slog.Logger
}

// Console answers everything at /console and below. Make it with New. It is safe for concurrent use.
type Console struct {
	config  Config
	log     *slog.Logger
	files   map[string]*file
	cookie  string // its name
	signIns signIns
	failed  failures
	jobs    jobs
	counts  counts

	mu sync.Mutex
	on *attached // nil while there is nothing to ask
}

// attached is an API that calls are relayed to.
type attached struct {
	callers *caller.Authenticator
	calls   *httpapi.ConsoleCalls
	// base ends calls and revocations under way.
	base context.Context
	// under are calls and revocations under way.
	under sync.WaitGroup
}

// New returns a console without sign-ins. It starts no goroutine. Until Run it serves its page, and answers calls with 503.
func New(c Config) *Console {
	if c.TrustedProxies == nil {
		c.TrustedProxies, _ = caller.ParseTrustedProxies(caller.DefaultTrustedProxies)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return &Console{
		config: c, log: c.Logger, files: embedded(),
		// Browsers send a cookie to all ports of a host: those of two processes must not overwrite each other.
		cookie: "cloakroom_console_" + strconv.FormatUint(uint64(rand.Uint32()), 10),
	}
}

// Run samples the program, and lets the console ask api, until ctx ends. Then revocations under way end as those of a
// client do, and what still runs after the time drain is cut off. It returns nil when everything that it has started
// has ended. (I7) It must not run twice at a time.
func (c *Console) Run(ctx context.Context, api *httpapi.Server, drain time.Duration) error {
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	on := &attached{callers: api.Callers, base: server.WithDrain(base, ctx)}
	on.calls = api.ForConsole(on.base)
	c.attach(on)
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return c.config.Live.Run(ctx) })
	<-running.Done()
	c.attach(nil)
	timer := time.AfterFunc(drain, cut)
	defer timer.Stop()
	on.under.Wait()
	return group.Wait()
}

func (c *Console) attach(on *attached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.on = on
}

// enter returns the API, which is there until under.Done is called, or says why there is none.
func (c *Console) enter(base context.Context) (*attached, error) {
	c.mu.Lock()
	on := c.on
	if on != nil {
		on.under.Add(1)
	}
	c.mu.Unlock()
	if on != nil {
		return on, nil
	}
	ctx, cancel := context.WithTimeout(base, time.Second)
	defer cancel()
	text := "cloakroom is not ready"
	if c.config.Ready != nil {
		if err := c.config.Ready(ctx); err != nil {
			text += ": " + err.Error()
		}
	}
	return nil, &refusal.Error{Code: refusal.Unavailable, Text: text}
}

// Answer answers a request for /console, or for something below it. What it asks before Run ends with base. loopbackOnly
// refuses what server.FromHere does; without credentials that is refused on any listener.
func (c *Console) Answer(base context.Context, http *fasthttp.RequestCtx, loopbackOnly bool) {
	c.Secure(&http.Response.Header)
	r := &request{http: http, base: base, id: string(server.AppendRequestID(nil, http)), from: c.config.TrustedProxies.From(http)}
	switch err := c.answer(r, loopbackOnly || c.config.Anonymous); {
	case err == server.ErrContinue:
		server.Admit(http)
		return
	case err != nil:
		http.Response.Header.Set(fasthttp.HeaderCacheControl, "no-store")
		refusal.Write(http, asRefusal(err))
	}
	if !r.bodyRead && server.HasBody(&http.Request.Header) {
		server.CloseUnread(http)
	}
}

// request is one request to the console.
type request struct {
	http *fasthttp.RequestCtx
	base context.Context
	id   string // for the log
	// from says where the browser is, for the log.
	from []slog.Attr
	// bodyRead says that nothing of the body is left on the connection.
	bodyRead bool
	on       *attached
	// who has sent it; nil for a sign-in and a sign-out.
	who *visitor
}

// visitor is a caller that has signed in.
type visitor struct {
	caller *caller.Caller
	// key is the hash of its API key, zero for the caller without credentials.
	key [sha256.Size]byte
	// ends is when its session of the console ends, used or not; zero: never.
	ends time.Time
}

// asRefusal returns an error as it is answered.
func asRefusal(err error) *refusal.Error {
	if e, ok := errors.AsType[*refusal.Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*protojson.Error](err); ok {
		return &refusal.Error{Code: refusal.Invalid, Text: e.Error()}
	}
	return &refusal.Error{Code: refusal.Internal, Text: "An internal error occurred"}
}
