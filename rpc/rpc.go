// Package rpc serves the session service by gRPC, gRPC-Web and Connect, over HTTP/2 and
// HTTP/1.1, and Envoy's external authorization by gRPC.
//
// It translates: a call becomes the request that httpapi takes by Connect in JSON, and
// what httpapi answers becomes the answer to the call. So who may do what, how many
// requests are at work and for how long, what is logged and what is counted is decided
// there, for all protocols alike.
package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"
	"connectrpc.com/grpcreflect"
	"github.com/valyala/fasthttp"
)

// Config configures a Server. All is required.
type Config struct {
	// API answers the calls of the session service by Connect, in JSON.
	API fasthttp.RequestHandler
	// Verify answers whether the session token of a request is good, by a policy unless
	// that is "".
	Verify func(ctx context.Context, http *fasthttp.RequestCtx, policy string)
	// MaxBytes is the size of the largest message that is taken.
	MaxBytes int
	// Logger hears what net/http has to say.
	Logger *slog.Logger
}

// Server answers calls. It is safe for concurrent use.
type Server struct {
	config  Config
	handler http.Handler
}

// New returns a server. It starts no goroutine.
func New(c Config) *Server {
	s := &Server{config: c}
	mux := http.NewServeMux()
	options := []connect.HandlerOption{
		connect.WithCodec(codec("proto")), connect.WithCodec(codec("json")), connect.WithCodec(codec("json; charset=utf-8")),
		connect.WithReadMaxBytes(c.MaxBytes), connect.WithRecover(s.recovered),
	}
	var services []string
	for _, v := range versions {
		services = append(services, v.service)
		for _, p := range v.procedures {
			path := "/" + v.service + "/" + p.name
			opts := options
			if p.reads {
				opts = append(opts[:len(opts):len(opts)], connect.WithIdempotency(connect.IdempotencyNoSideEffects))
			}
			mux.Handle(path, connect.NewUnaryHandler(path, s.unary(path, p), opts...))
		}
	}
	mux.Handle("/"+checkService+"/Check", connect.NewUnaryHandler("/"+checkService+"/Check", s.check, connect.WithReadMaxBytes(c.MaxBytes), connect.WithRecover(s.recovered)))
	mux.Handle(grpchealth.NewHandler(grpchealth.NewStaticChecker(append([]string{checkService}, services...)...)))
	reflector := grpcreflect.NewStaticReflector(services...)
	mux.Handle(grpcreflect.NewHandlerV1(reflector))
	mux.Handle(grpcreflect.NewHandlerV1Alpha(reflector))
	s.handler = withPeer(mux)
	return s
}

// Run serves ln until ctx ends, and then answers what is under way, for shutdownTimeout
// at most. Everything that it started has ended when it returns. (I7)
func (s *Server) Run(ctx context.Context, ln net.Listener, shutdownTimeout time.Duration) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	srv := &http.Server{
		Handler: s.handler, Protocols: protocols,
		ReadHeaderTimeout: requestTimeout, ReadTimeout: requestTimeout, WriteTimeout: requestTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		HTTP2:    &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog: slog.NewLogLogger(s.config.Logger.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if srv.Shutdown(end) != nil {
		_ = srv.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
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
	maxHeaderBytes = 64 << 10
	// maxStreams is how many calls of one connection are at work at a time.
	maxStreams = 250
)

var errBug = errors.New("an internal error occurred")

// recovered answers a call that failed by a bug of ours.
func (s *Server) recovered(_ context.Context, spec connect.Spec, _ http.Header, panicked any) error {
	return s.bug(spec.Procedure, fmt.Errorf("panic: %v: %s", panicked, debug.Stack()))
}

// bug logs an error of ours, and returns the one that the caller is told: nothing of it.
func (s *Server) bug(call string, err error) error {
	s.config.Logger.Error("a call failed by a bug", "call", call, "error", err)
	return connect.NewError(connect.CodeInternal, errBug)
}
