package httpapi

import (
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

// AdminConfig configures an Admin. Zero fields leave out what they are for.
type AdminConfig struct {
	// Ready says whether the program can do its work; /readyz asks it. nil is
	// always ready.
	Ready func(context.Context) error
	// Details are lines that /readyz?verbose adds.
	Details func(context.Context) string
	// Metrics is what /metrics shows.
	Metrics prometheus.Gatherer
	// Pprof adds /debug/pprof/, which lets a caller read memory and stop the program.
	Pprof bool
	// Logger defaults to slog.Default().
	Logger *slog.Logger
}

// Admin is the listener for operators: /livez, /readyz, /metrics and, if
// configured, /debug/pprof/, without the program's arguments, which can hold
// a password. It asks for no credentials: only operators may reach its listener. On loopback it serves no other host name, and no web page of another
// site. Make it with NewAdmin.
type Admin struct {
	config  AdminConfig
	log     *slog.Logger
	limits  server.Timeouts
	metrics fasthttp.RequestHandler
}

// adminHeaderBytes bounds the request line and headers on the admin listener.
const adminHeaderBytes = 16 << 10

// readyPatience bounds how long /readyz waits for Ready.
const readyPatience = time.Second

// NewAdmin returns an Admin. It starts no goroutine; Run does the work.
func NewAdmin(c AdminConfig) *Admin {
	a := &Admin{config: c, log: c.Logger, limits: server.DefaultTimeouts}
	a.limits.Write = 2 * time.Minute // a profile takes as long as it is asked to
	if a.log == nil {
		a.log = slog.Default()
	}
	if c.Metrics != nil {
		a.metrics = fasthttpadaptor.NewFastHTTPHandler(promhttp.HandlerFor(c.Metrics, promhttp.HandlerOpts{}))
	}
	return a
}

// Run serves ln until ctx ends, then drains it as Server.Run does.
func (a *Admin) Run(ctx context.Context, ln net.Listener, shutdownTimeout time.Duration) error {
	srv := server.New(a.log, a.limits, adminHeaderBytes)
	srv.GetOnly = true
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	addr, isTCP := ln.Addr().(*net.TCPAddr)
	loopbackOnly := isTCP && addr.IP.IsLoopback()
	srv.Handler = func(http *fasthttp.RequestCtx) { a.handle(base, http, loopbackOnly) }
	srv.ErrorHandler = refuseAdmin
	return server.Serve(ctx, a.log, srv, ln, shutdownTimeout, 0, cut)
}

// refuseAdmin answers what the server itself refuses.
func refuseAdmin(http *fasthttp.RequestCtx, err error) {
	if errors.Is(err, fasthttp.ErrGetOnly) {
		http.Response.Header.Set(fasthttp.HeaderAllow, "GET, HEAD")
		refusal.Write(http, errNoMethod)
	} else {
		refusal.Write(http, server.HeaderError(http.Conn(), err, adminHeaderBytes))
	}
	server.EndUnread(http)
}

func (a *Admin) handle(base context.Context, http *fasthttp.RequestCtx, loopbackOnly bool) {
	defer func() {
		if p := recover(); p != nil {
			a.log.Error("an admin request failed by a bug", "panic", p)
			refusal.Write(http, &refusal.Error{Code: refusal.Internal, Text: "An internal error occurred"})
		}
	}()
	if loopbackOnly {
		if err := server.FromHere(&http.Request.Header); err != nil {
			refusal.Write(http, asAPIError(err))
			return
		}
	}
	path := string(http.Path())
	switch {
	case path == "/livez":
		http.SetBodyString("ok\n")
	case path == "/readyz":
		a.ready(base, http)
	case path == "/metrics" && a.metrics != nil:
		a.metrics(http)
	case a.config.Pprof && strings.HasPrefix(path, pprofPath) && path != pprofPath+"cmdline":
		pprofhandler.PprofHandler(http)
	default:
		refusal.Write(http, errNoRoute)
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
