// Package admin is the listener for operators: /livez, /readyz, /metrics, profiles, and the
// console if there is one. It knows no session.
package admin

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"
	"github.com/valyala/fasthttp/pprofhandler"
)

// Config configures an Admin. Zero fields leave out what they are for.
type Config struct {
	// Ready says whether the program can do its work; /readyz asks it. nil is
	// always ready.
	Ready func(context.Context) error
	// Details are lines that /readyz?verbose adds.
	Details func(context.Context) string
	// Metrics is what /metrics shows.
	Metrics prometheus.Gatherer
	// Console answers requests for /console and everything below it.
	Console Console
	// Pprof adds /debug/pprof/, which lets a caller read memory and stop the program.
	Pprof bool
	// ReadTimeout is how long a request may take to arrive; default 10 seconds.
	ReadTimeout time.Duration
	// Logger defaults to slog.Default().
	Logger *slog.Logger
}

// Console is the console for on-call engineers. Somebody else runs it.
type Console interface {
	// Answer answers a request until base ends. loopbackOnly refuses what server.FromHere does.
	Answer(base context.Context, http *fasthttp.RequestCtx, loopbackOnly bool)
	// Secure sets the headers that each of its answers has, for the answer to a request that could not be read.
	Secure(h *fasthttp.ResponseHeader)
}

// Admin is the listener for operators: /livez, /readyz, /metrics and, if
// configured, the console and /debug/pprof/, without the program's arguments, which can hold
// a password. Only the console asks for credentials, and only it reads bodies: only operators may reach the listener.
// On loopback it serves no other host name, and nothing to a web page of another
// site; a link from anywhere opens the console's page. Make it with New.
type Admin struct {
	config  Config
	log     *slog.Logger
	limits  server.Timeouts
	metrics fasthttp.RequestHandler
}

// The beginning of a request tells whether it is for the console.
const _ = uint(server.LeastURI - len(consolePath))

const consolePath = "/console"

// headerBytes bounds the request line and headers.
const headerBytes = 16 << 10

// readyPatience bounds how long /readyz waits for Ready.
const readyPatience = time.Second

// New returns an Admin. It starts no goroutine; Run does the work.
func New(c Config) *Admin {
	a := &Admin{config: c, log: c.Logger, limits: server.DefaultTimeouts}
	a.limits.Write = 2 * time.Minute // a profile takes as long as it is asked to
	if c.ReadTimeout > 0 {
		a.limits.Read = c.ReadTimeout
	}
	if a.log == nil {
		a.log = slog.Default()
	}
	if c.Metrics != nil {
		a.metrics = fasthttpadaptor.NewFastHTTPHandler(promhttp.HandlerFor(c.Metrics, promhttp.HandlerOpts{}))
	}
	return a
}

// Run serves ln until ctx ends, then drains it as httpapi's Server.Run does.
func (a *Admin) Run(ctx context.Context, ln net.Listener, shutdownTimeout time.Duration) error {
	srv := server.New(a.log, a.limits, headerBytes)
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	addr, isTCP := ln.Addr().(*net.TCPAddr)
	loopbackOnly := isTCP && addr.IP.IsLoopback()
	srv.Handler = func(http *fasthttp.RequestCtx) { a.handle(base, http, loopbackOnly) }
	srv.ErrorHandler = func(http *fasthttp.RequestCtx, err error) {
		refusal.Write(http, server.HeaderError(http.Conn(), err, headerBytes))
		if _, uri, known := server.Begun(http); known && a.forConsole(uri) {
			a.config.Console.Secure(&http.Response.Header)
		}
		server.EndUnread(http)
	}
	server.StreamBodies(srv, func(h *fasthttp.RequestHeader) bool {
		if !a.forConsole(h.RequestURI()) {
			server.WithoutBody(h)
		}
		return false
	})
	return server.Serve(ctx, a.log, srv, ln, shutdownTimeout, 0, cut)
}

// forConsole says whether a request for uri, a path with or without a query, is one for the console.
func (a *Admin) forConsole(uri []byte) bool {
	path, _, _ := bytes.Cut(uri, []byte("?"))
	below, found := bytes.CutPrefix(path, []byte(consolePath))
	return a.config.Console != nil && found && (len(below) == 0 || below[0] == '/')
}

func (a *Admin) handle(base context.Context, http *fasthttp.RequestCtx, loopbackOnly bool) {
	defer func() {
		if p := recover(); p != nil {
			a.log.Error("an admin request failed by a bug", "panic", p)
			refusal.Write(http, &refusal.Error{Code: refusal.Internal, Text: "An internal error occurred"})
		}
	}()
	if server.AnnouncedBody(&http.Request.Header) {
		server.CloseUnread(http)
	}
	if a.forConsole(http.Path()) {
		a.config.Console.Answer(base, http, loopbackOnly)
		return
	}
	if loopbackOnly {
		if err, refused := errors.AsType[*refusal.Error](server.FromHere(&http.Request.Header)); refused {
			refusal.Write(http, err)
			return
		}
	}
	path := string(http.Path())
	switch {
	case !http.IsGet() && !http.IsHead():
		http.Response.Header.Set(fasthttp.HeaderAllow, "GET, HEAD")
		refusal.Write(http, refusal.NoMethod)
	case path == "/livez":
		http.SetBodyString("ok\n")
	case path == "/readyz":
		a.ready(base, http)
	case path == "/metrics" && a.metrics != nil:
		a.metrics(http)
	case a.config.Pprof && strings.HasPrefix(path, pprofPath) && path != pprofPath+"cmdline":
		pprofhandler.PprofHandler(http)
	default:
		refusal.Write(http, refusal.NoRoute)
	}
}

const pprofPath = "/debug/pprof/"

// ready answers 200 or 503. The reason is for operators, in plain text.
func (a *Admin) ready(base context.Context, http *fasthttp.RequestCtx) {
	ctx, cancel := context.WithTimeout(base, readyPatience)
	defer cancel()
	http.SetBodyString("ready\n")
	if a.config.Ready != nil {
		if err := a.config.Ready(ctx); err != nil {
			http.SetStatusCode(fasthttp.StatusServiceUnavailable)
			http.SetBodyString("not ready: " + err.Error() + "\n")
		}
	}
	if a.config.Details != nil && http.QueryArgs().Has("verbose") {
		_, _ = http.WriteString(a.config.Details(ctx))
	}
}
