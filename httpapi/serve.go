package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/valyala/fasthttp"
)

// timeouts bound how long a request may take.
type timeouts struct {
	// read is for a whole request, write for the answer, idle between two requests.
	read, write, idle time.Duration
	// request is how long the store may take for one request.
	request time.Duration
	// verify is how long a verify may take.
	verify time.Duration
	// pause is the longest silence within an import, patience how long an
	// import waits for a store that is away.
	pause, patience time.Duration
	// idleAtEnd is how long connections without a request stay open when the
	// server ends, for those that are on their way.
	idleAtEnd time.Duration
}

var defaultTimeouts = timeouts{
	read:     10 * time.Second,
	write:    30 * time.Second,
	idle:     2 * time.Minute,
	request:  time.Second,
	verify:   verifyTime,
	pause:    30 * time.Second,
	patience: 5 * time.Second,
}

// adminHeaderBytes bounds the request line and headers on the admin listener.
const adminHeaderBytes = 16 << 10

// writeBufferBytes holds an answer of some nine sessions, so that it goes out in
// one write: a second one costs more than everything that a handler does.
const writeBufferBytes = 8 << 10

// connectionBytes bounds the memory that the buffers of a listener's connections
// take: 5,461 connections have 64 KiB to read headers and 8 KiB to write, 16,384
// have 16 and 8.
const connectionBytes = 384 << 20

// maxConnections is how many connections a listener has whose headers have at
// most so many bytes.
func maxConnections(headerBytes int) int { return connectionBytes / (headerBytes + writeBufferBytes) }

// Run serves ln until ctx ends. Then it stops accepting, answers what is under
// way with Connection: close, and returns nil. What takes longer than
// shutdownTimeout is cut off. Everything that Run started has ended when it
// returns. (I7)
func (s *Server) Run(ctx context.Context, ln net.Listener, shutdownTimeout time.Duration) error {
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	base = withDrain(base, ctx)
	_, isUnix := ln.Addr().(*net.UnixAddr)
	server := newHTTPServer(s.log, s.limits, s.config.MaxHeaderBytes)
	loopbackOnly := s.config.Anonymous && !isUnix
	server.Handler = s.withVerify(base, s.withCORS(s.router(base, loopbackOnly), s.handle(base, &preflightRoute, loopbackOnly)))
	server.ErrorHandler = s.refuse
	// Bodies are read by the handlers, each with its own bound: an import is
	// longer than memory. Before a handler nearly nothing is read.
	server.StreamRequestBody = true
	server.MaxRequestBodySize = prefetch
	server.HeaderReceived = s.refuseUnread
	server.ExpectHandler = expect(server.Handler)
	return serve(ctx, s.log, server, ln, shutdownTimeout, s.limits.idleAtEnd, cut)
}

func newHTTPServer(log *slog.Logger, t timeouts, headerBytes int) *fasthttp.Server {
	return &fasthttp.Server{
		ReadTimeout:                  t.read,
		WriteTimeout:                 t.write,
		IdleTimeout:                  t.idle,
		ReadBufferSize:               headerBytes,
		WriteBufferSize:              writeBufferBytes,
		Concurrency:                  maxConnections(headerBytes),
		NoDefaultServerHeader:        true,
		CloseOnShutdown:              true,
		DisablePreParseMultipartForm: true,
		SecureErrorLogMessage:        true,
		Logger:                       connectionLog{log},
	}
}

// connectionLog logs that a connection failed. It leaves the values out: they
// can hold a header, with a token in it. (I6)
type connectionLog struct{ log *slog.Logger }

// Printf logs the kind of message.
func (l connectionLog) Printf(format string, _ ...any) {
	l.log.Debug("a connection failed", "kind", format)
}

// refuse answers what never became a request.
func (s *Server) refuse(http *fasthttp.RequestCtx, err error) {
	if _, uri, known := begun(http); known && isVerify(uri) {
		s.refuseVerify(http, err)
		return
	}
	e := asHeaderError(http.Conn(), err, s.config.MaxHeaderBytes)
	refusal.Write(http, e)
	s.shareUnread(http)
	endUnread(http)
	s.metrics.refused(e.Status())
}

// endUnread ends the answer to a request that could not be read. It has no body
// where the request may be a HEAD.
func endUnread(http *fasthttp.RequestCtx) {
	method, _, known := begun(http)
	http.Response.SkipBody = string(method) == fasthttp.MethodHead
	if !known {
		http.Response.ResetBody()
	}
	closeUnread(http)
	http.Request = fasthttp.Request{} // it may have been much
}

// asHeaderError says why a request's header could not be read.
func asHeaderError(conn net.Conn, err error, limit int) *refusal.Error {
	if !headerTooLarge(err) {
		return asReadError(conn, err)
	}
	text := fmt.Sprintf("request headers too large: at most %d bytes", limit)
	if errors.Is(err, errHeaderLines) {
		text = fmt.Sprintf("request headers too large: at most %d lines if they have more than %d bytes", maxHeaderLines, readPiece)
	}
	return &refusal.Error{Code: refusal.Exhausted, HTTP: fasthttp.StatusRequestHeaderFieldsTooLarge, Text: text, Close: true}
}

// headerTooLarge says whether a header could not be read because it is larger
// than the server's buffer, or has too many lines.
func headerTooLarge(err error) bool {
	_, ok := errors.AsType[*fasthttp.ErrSmallBuffer](err)
	return ok || errors.Is(err, errHeaderLines)
}

// asReadError says why a request could not be read from conn. It never repeats
// what was received. (I6)
func asReadError(conn net.Conn, err error) *refusal.Error {
	if headerTooLarge(err) {
		return errTrailersTooBig
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return errSlow
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return truncated(conn)
	}
	return errHTTP
}

// truncated says why a request from conn has ended early.
func truncated(conn net.Conn) *refusal.Error {
	if cutOff(conn) {
		return errStopping
	}
	return errTruncated
}

// serve runs server on ln until ctx ends, then drains it: the listener closes,
// every answer ends its connection, and connections without a request stay open
// for the time idle, because a client may be using one just now; then half a
// header is not waited for, either. Connections that are still busy after timeout
// are closed, after cut was called.
func serve(ctx context.Context, log *slog.Logger, server *fasthttp.Server, ln net.Listener, timeout, idle time.Duration, cut func()) error {
	open := newConnections()
	server.ConnState = open.observe
	// The server says Connection: close once its shutdown has begun, which is a
	// moment after the listener has closed.
	var draining atomic.Bool
	handler := server.Handler
	server.Handler = func(http *fasthttp.RequestCtx) {
		accepted := accept(http)
		handler(http)
		accepted.Store(false)
		forget(http)
		if draining.Load() {
			http.Response.SetConnectionClose()
		}
	}
	if expected := server.ExpectHandler; expected != nil {
		server.ExpectHandler = func(http *fasthttp.RequestCtx) int {
			accept(http) // until the handler has had the body, too
			return expected(http)
		}
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(lingeringListener{ln, server.ReadBufferSize}) }()

	var failure error
	running := true
	select {
	case failure = <-served:
		running = false
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	draining.Store(true)
	// ShutdownWithContext knows ln only once Serve has begun; closing it here
	// too ends a Serve that begins later.
	_ = ln.Close()
	open.rest(drain, min(idle, timeout/2))
	open.drain()
	// The server looks every 100 ms whether the last connection has ended; open
	// knows it at once.
	ended, end := context.WithCancel(drain)
	var watch sync.WaitGroup
	watch.Go(func() {
		open.rest(drain, timeout)
		end()
	})
	err := server.ShutdownWithContext(ended)
	watch.Wait()
	if running {
		failure = <-served
	}
	if drain.Err() != nil && err != nil {
		cut()
		n := open.close()
		log.Warn("requests were cut off, because they took longer than the shutdown may", "connections", n, "timeout", timeout)
	}
	open.wait() // I7
	return failure
}

// accept notes that the request has come so far that a handler has it.
func accept(http *fasthttp.RequestCtx) *atomic.Bool {
	accepted := &http.Conn().(lingerer).lingering().accepted
	accepted.Store(true)
	return accepted
}

// connections are those that are open.
type connections struct {
	mu       sync.Mutex
	open     map[*lingeringConn]struct{}
	draining bool
	none     *sync.Cond // told when the last one has ended
}

func newConnections() *connections {
	c := &connections{open: make(map[*lingeringConn]struct{})}
	c.none = sync.NewCond(&c.mu)
	return c
}

// observe is told of every change of a connection. A connection has ended when
// its handler has.
func (c *connections) observe(conn net.Conn, state fasthttp.ConnState) {
	if state == fasthttp.StateActive {
		return
	}
	made, ok := conn.(lingerer)
	if !ok {
		panic("BUG: a connection that the listener has not made")
	}
	l := made.lingering()
	if state == fasthttp.StateIdle {
		l.head.next()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if state == fasthttp.StateNew {
		if c.draining {
			l.endUnlessAccepted()
		}
		c.open[l] = struct{}{}
		return
	}
	delete(c.open, l)
	if len(c.open) == 0 {
		c.none.Broadcast()
	}
}

// drain ends the connections from which no request has been accepted. The server
// closes those that rest between two requests, but passes over these.
func (c *connections) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	for l := range c.open {
		l.endUnlessAccepted()
	}
}

// close closes all of them at once; their handlers notice. It returns how many
// there were.
func (c *connections) close() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for l := range c.open {
		_ = l.Conn.Close()
	}
	return len(c.open)
}

// rest waits until all have ended, ctx has, or the time is over.
func (c *connections) rest(ctx context.Context, most time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.none.Broadcast()
	})
	defer stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.open) > 0 && ctx.Err() == nil {
		c.none.Wait()
	}
}

// wait waits until all have ended.
func (c *connections) wait() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.open) > 0 {
		c.none.Wait()
	}
}
