// Package rpc serves the session service by gRPC, gRPC-Web and Connect, over HTTP/2 and
// HTTP/1.1, and Envoy's external authorization by gRPC.
//
// It translates: a call becomes the request that httpapi takes by Connect in JSON, and
// what httpapi answers becomes the answer to the call. So who may do what, how many
// requests are at work and for how long, what is logged and what is counted is decided
// there, for all protocols alike.
//
// A listener speaks all of it, by connect over net/http, or Envoy's authorization alone, by
// grpc-go (checklistener.go). Look in call.go for how a call becomes a request, in
// requestjson.go and procedures.go for how messages become JSON and back, in check.go for
// Envoy's messages.
package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"
	"connectrpc.com/grpcreflect"
	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/valyala/fasthttp"
)

// Config configures a Server. All but Origins and MaxConnections is required.
type Config struct {
	Services Services
	// API returns what answers the calls of the session service that are spoken by a
	// protocol (grpc, grpc-web or connect): by Connect, in JSON.
	API func(protocol string) fasthttp.RequestHandler
	// Verify answers whether the session token of a request is good, by a policy unless
	// that is "".
	Verify func(ctx context.Context, http *fasthttp.RequestCtx, policy string)
	// Ready says why the program is not ready, nil if it is.
	Ready func(context.Context) error
	// MaxBytes is the size of the largest message that is taken, MaxHeaderBytes that of the
	// headers of a call.
	MaxBytes, MaxHeaderBytes int
	// Anonymous says that calls need no credentials.
	Anonymous bool
	// MaxConnections is how many connections a listener has; 0 is 8,192. One more is closed
	// at once: a client of gRPC takes that for UNAVAILABLE, and tries another address.
	MaxConnections int
	// Origins are those of web pages that may call, by gRPC-Web and Connect.
	Origins []string
	// Logger hears of bugs, and of connections that are refused.
	Logger *slog.Logger
}

// Server answers calls. It is safe for concurrent use.
type Server struct {
	config Config
	// api has what answers, by connect's name of the protocol.
	api     map[string]fasthttp.RequestHandler
	handler http.Handler
	full    server.OncePerSecond
}

// New returns a server. It starts no goroutine.
func New(c Config) *Server {
	if c.MaxConnections == 0 {
		c.MaxConnections = maxConnections
	}
	c.Ready = recently(c.Ready)
	s := &Server{config: c, api: map[string]fasthttp.RequestHandler{}}
	for spoken, name := range map[string]string{connect.ProtocolGRPC: "grpc", connect.ProtocolGRPCWeb: "grpc-web", connect.ProtocolConnect: "connect"} {
		s.api[spoken] = c.API(name)
	}
	mux, calls := http.NewServeMux(), http.NewServeMux()
	limits := []connect.HandlerOption{connect.WithReadMaxBytes(c.MaxBytes), connect.WithRecover(s.recovered), connect.WithCompression("gzip", nil, nil)}
	options := append(limits, connect.WithCodec(codec("proto")), connect.WithCodec(codec("json")), connect.WithCodec(codec("json; charset=utf-8")))
	calls.Handle("/", unknown())
	api := withBodies(calls, c.MaxBytes, maxBodies)
	if !c.Anonymous {
		api = withoutStrangers(api)
	}
	var services []string
	if c.Services.API {
		for _, v := range versions {
			services = append(services, v.service)
			mux.Handle("/"+v.service+"/", api)
			for _, p := range v.procedures {
				path := "/" + v.service + "/" + p.name
				opts := options
				if p.reads {
					opts = append(opts[:len(opts):len(opts)], connect.WithIdempotency(connect.IdempotencyNoSideEffects))
				}
				calls.Handle(path, connect.NewUnaryHandler(path, s.unary(path, p), opts...))
			}
		}
	}
	if c.Services.Check {
		path := "/" + checkService + "/Check"
		mux.Handle(path, withBodies(connect.NewUnaryHandler(path, s.check, options...), maxCheckBytes, maxCheckBodies))
	}
	serves := &health{services: map[string]bool{}, ready: s.config.Ready}
	for _, name := range services { // with descriptors
		serves.services[name] = true
	}
	serves.services[checkService] = c.Services.Check
	mux.Handle(grpchealth.NewHandler(serves, limits...))
	reflector := grpcreflect.NewStaticReflector(services...)
	mux.Handle(grpcreflect.NewHandlerV1(reflector, limits...))
	mux.Handle(grpcreflect.NewHandlerV1Alpha(reflector, limits...))
	mux.Handle("/", unknown())
	s.handler = withCORS(withText(withHost(mux)), c.Origins)
	return s
}

var (
	errNoCall    = errors.New("there is no such call here")
	errNotJSON   = errors.New("external authorization is spoken in protobuf")
	errNoService = errors.New("there is no such service here")
)

// unknown answers calls that there are none of: by gRPC with their code, else with 404.
func unknown() http.Handler {
	byGRPC := refuseAll(connect.NewError(connect.CodeUnimplemented, errNoCall), http.StatusNotFound)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
			byGRPC.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = fmt.Fprintf(w, `{"code":"unimplemented","message":"%v"}`, errNoCall) // the client may be away
	})
}

// refuseAll answers every call with an error, and what is no call with a status.
func refuseAll(why *connect.Error, status int) http.Handler {
	protocols := connect.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if protocols.IsSupported(r) {
			_ = protocols.Write(w, r, why) // the client may be away
			return
		}
		http.Error(w, why.Message(), status)
	})
}

// Run serves ln, which may be a *server.TLSListener, until ctx ends, and then answers what is
// under way, for shutdownTimeout at most; then it calls cut, which is to end the rest.
// Everything that it started has ended when it returns. (I7)
func (s *Server) Run(ctx context.Context, ln net.Listener, shutdownTimeout time.Duration, cut func()) error {
	if s.config.Services == (Services{Check: true}) {
		return s.runCheck(ctx, s.bounded(ln), shutdownTimeout)
	}
	return serve(ctx, s.bounded(ln), s.handler, s.config.MaxHeaderBytes, s.config.Logger, shutdownTimeout, cut)
}

// bounded bounds the number of connections.
func (s *Server) bounded(ln net.Listener) net.Listener {
	return newListener(ln, s.config.MaxConnections, func() {
		if left, tell := s.full.Tell(); tell {
			s.config.Logger.Warn("gRPC: a connection was refused, because there are too many", "most", s.config.MaxConnections, "more_since_the_last_line", left)
		}
	})
}

// unavailableEnd is how long calls may take that are under way at the end of RunUnavailable.
const unavailableEnd = time.Second

// RunUnavailable answers every call on ln that the session store is unavailable, until ctx
// ends. Each answer ends its connection. It is for a socket that clients can reach before
// there is a store, and that a Server goes on with.
func RunUnavailable(ctx context.Context, ln net.Listener, log *slog.Logger) error {
	refuse := refuseAll(connect.NewError(connect.CodeUnavailable, errUnavailable), http.StatusServiceUnavailable)
	closes := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close") // which HTTP/2 says in its own way
		refuse.ServeHTTP(w, r)
	})
	return serve(ctx, newListener(ln, maxConnections, func() {}), closes, http.DefaultMaxHeaderBytes, log, unavailableEnd, func() {})
}

func serve(ctx context.Context, ln net.Listener, handler http.Handler, headerBytes int, log *slog.Logger, shutdownTimeout time.Duration, cut func()) error {
	var working sync.WaitGroup
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			working.Add(1)
			defer working.Done()
			handler.ServeHTTP(w, r)
		}),
		Protocols:         protocols,
		ReadHeaderTimeout: requestTimeout, ReadTimeout: requestTimeout, WriteTimeout: requestTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: headerBytes,
		ConnContext: withConn,
		HTTP2:       &http.HTTP2Config{MaxConcurrentStreams: maxStreams, WriteByteTimeout: requestTimeout},
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return serveUntil(ctx, func() error { return srv.Serve(ln) }, http.ErrServerClosed, func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if srv.Shutdown(end) != nil {
			_ = srv.Close()
			cut()
		}
		working.Wait() // also for calls whose connections have ended
	})
}

// serveUntil runs serve until ctx ends, and then stop, which has it return ended.
func serveUntil(ctx context.Context, serve func() error, ended error, stop func()) error {
	served := make(chan error, 1)
	go func() { served <- serve() }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	stop()
	if err := <-served; !errors.Is(err, ended) { // I7
		return err
	}
	return nil
}

const checkService = "envoy.service.auth.v3.Authorization"

const (
	// requestTimeout bounds the reading of a request, and the time until its answer is
	// written, of each stream apart.
	requestTimeout = 10 * time.Second
	idleTimeout    = 2 * time.Minute
	// maxStreams is how many calls of one connection are at work at a time.
	maxStreams = 250
)

var (
	errBug         = errors.New("an internal error occurred")
	errUnavailable = errors.New("the session store is unavailable")
)

// recovered answers a call that failed by a bug of ours.
func (s *Server) recovered(_ context.Context, spec connect.Spec, _ http.Header, panicked any) error {
	return s.bug(spec.Procedure, fmt.Errorf("panic: %v: %s", panicked, debug.Stack()))
}

// bug logs an error of ours, and returns the one that the caller is told: nothing of it.
func (s *Server) bug(call string, err error) error {
	s.logBug(call, err)
	return connect.NewError(connect.CodeInternal, errBug)
}

func (s *Server) logBug(call string, err error) {
	s.config.Logger.Error("a call failed by a bug", "call", call, "error", err)
}
