// Package server is HTTP that knows no session: how a listener is served and drained,
// how a request is read, bounded and refused before anybody knows what it asks for,
// and what its answer has in any case. Look here for connections, headers, bodies,
// deadlines and TLS; routes, callers and sessions are in httpapi.
//
// It builds upon fasthttp. Make a server with New, give it its handlers, and hand it
// to Serve, which alone makes the connections that the other functions here expect.
// Functions that take a request must be called by its handler, before that returns.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/valyala/fasthttp"
)

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

// Timeouts bound how long the parts of a request may take, and a connection may
// rest.
type Timeouts struct {
	// Read is for a whole request, Write for the answer, Idle between two requests;
	// 0 has no bound.
	Read, Write, Idle time.Duration
}

// DefaultTimeouts are those of every listener that has no others.
var DefaultTimeouts = Timeouts{
	Read:  10 * time.Second,
	Write: 30 * time.Second,
	Idle:  2 * time.Minute,
}

// New returns a server without handlers, with headerBytes for the request line and
// the headers of each connection, and as many connections as that leaves memory for.
// It logs connections that fail, without anything that they have sent.
func New(log *slog.Logger, t Timeouts, headerBytes int) *fasthttp.Server {
	return &fasthttp.Server{
		ReadTimeout:                  t.Read,
		WriteTimeout:                 t.Write,
		IdleTimeout:                  t.Idle,
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

// EndUnread ends the answer to a request that could not be read. It has no body
// where the request may be a HEAD.
func EndUnread(http *fasthttp.RequestCtx) {
	method, _, known := Begun(http)
	http.Response.SkipBody = string(method) == fasthttp.MethodHead
	if !known {
		http.Response.ResetBody()
	}
	CloseUnread(http)
	http.Request = fasthttp.Request{} // it may have been much
}

// HeaderError says why a request's header could not be read from conn, by the error
// of the server, whose limit is in bytes.
func HeaderError(conn net.Conn, err error, limit int) *refusal.Error {
	if !HeaderTooLarge(err) {
		return asReadError(conn, err)
	}
	text := fmt.Sprintf("request headers too large: at most %d bytes", limit)
	if errors.Is(err, errHeaderLines) {
		text = fmt.Sprintf("request headers too large: at most %d lines if they have more than %d bytes", maxHeaderLines, readPiece)
	}
	return &refusal.Error{Code: refusal.Exhausted, HTTP: fasthttp.StatusRequestHeaderFieldsTooLarge, Text: text, Close: true}
}

// HeaderTooLarge says whether a header could not be read because it is larger
// than the server's buffer, or has too many lines.
func HeaderTooLarge(err error) bool {
	_, ok := errors.AsType[*fasthttp.ErrSmallBuffer](err)
	return ok || errors.Is(err, errHeaderLines)
}

// asReadError says why a request could not be read from conn. It never repeats
// what was received. (I6)
func asReadError(conn net.Conn, err error) *refusal.Error {
	if HeaderTooLarge(err) {
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
	if CutOff(conn) {
		return ErrStopping
	}
	return errTruncated
}

// Serve runs server, which New has made, on ln until ctx ends, then drains it: the
// listener closes, every answer ends its connection, and connections without a
// request stay open for the time idle, because a client may be using one just now;
// then half a header is not waited for, either. Connections that are still busy after timeout
// are closed, after cut was called.
func Serve(ctx context.Context, log *slog.Logger, server *fasthttp.Server, ln net.Listener, timeout, idle time.Duration, cut func()) error {
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
	go func() { served <- server.Serve(servedListener{ln, server.ReadBufferSize}) }()

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
	accepted := &http.Conn().(served).conn().accepted
	accepted.Store(true)
	return accepted
}

// connections are those that are open.
type connections struct {
	mu       sync.Mutex
	open     map[*servedConn]struct{}
	draining bool
	none     *sync.Cond // told when the last one has ended
}

func newConnections() *connections {
	c := &connections{open: make(map[*servedConn]struct{})}
	c.none = sync.NewCond(&c.mu)
	return c
}

// observe is told of every change of a connection. A connection has ended when
// its handler has.
func (c *connections) observe(conn net.Conn, state fasthttp.ConnState) {
	if state == fasthttp.StateActive {
		return
	}
	made, ok := conn.(served)
	if !ok {
		panic("BUG: a connection that the listener has not made")
	}
	l := made.conn()
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

// What is answered where a request could not be read.
var (
	errTrailersTooBig = &refusal.Error{Code: refusal.Exhausted, HTTP: http.StatusRequestHeaderFieldsTooLarge, Text: "request trailers too large", Close: true}
	errSlow           = &refusal.Error{Code: refusal.Deadline, HTTP: http.StatusRequestTimeout, Text: "the request did not arrive in time", Close: true}
	errHTTP           = &refusal.Error{Code: refusal.Invalid, Text: "malformed HTTP request", Close: true}
	errTruncated      = &refusal.Error{Code: refusal.Invalid, Text: "the request body ended early", Close: true}
)

// ErrStopping is the answer to a request that a stop of the server has cut off.
var ErrStopping = &refusal.Error{Code: refusal.Unavailable, Text: "cloakroom is stopping", Close: true}
