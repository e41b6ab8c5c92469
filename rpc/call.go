package rpc

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"github.com/valyala/fasthttp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

// exchange is a request to httpapi, and its answer.
type exchange struct {
	http fasthttp.RequestCtx
	body bytes.Reader
	peer peer
}

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

// handedOn are the headers of a call that httpapi is told, and back those of the answer
// that the caller is told.
var (
	handedOn = []string{"Host", "Authorization", "If-Match", "X-Request-Id", "Session-Consistency", "X-Forwarded-For", "Origin", "Sec-Fetch-Site"}
	back     = []string{"X-Request-Id", "Cache-Control", "Session-Replicas", "Www-Authenticate", "Retry-After"}
)

// begin makes a request to httpapi, of a caller with these addresses.
func begin(remote, local net.Addr) *exchange {
	x := exchanges.Get().(*exchange)
	x.peer.remote, x.peer.local = remote, local
	x.http.Init2(&x.peer, nil, false)
	x.http.Request.Header.SetMethod(http.MethodPost)
	return x
}

// end gives x back.
func (x *exchange) end() {
	x.http.Request.Reset()
	x.http.Response.Reset()
	x.http.ResetUserValues()
	x.body.Reset(nil)
	x.peer = peer{}
	exchanges.Put(x)
}

// unary makes the handler of a procedure.
func (s *Server) unary(path string, p procedure) func(context.Context, *connect.Request[message]) (*connect.Response[message], error) {
	form := formOf(p.request().ProtoReflect().Descriptor())
	return func(ctx context.Context, request *connect.Request[message]) (*connect.Response[message], error) {
		body, err := p.requestJSON(form, request.Msg)
		if err != nil {
			return nil, connect.NewError(connect.CodeInvalidArgument, err)
		}
		x := begin(addressesOf(ctx))
		defer x.end()
		h := &x.http.Request.Header
		for _, name := range handedOn {
			for _, value := range request.Header()[name] {
				h.Add(name, value)
			}
		}
		h.SetRequestURI(path)
		h.SetContentType("application/json")
		if deadline, has := ctx.Deadline(); has {
			left := time.Until(deadline).Milliseconds()
			if left <= 0 {
				return nil, connect.NewError(connect.CodeDeadlineExceeded, context.DeadlineExceeded)
			}
			h.Set("Connect-Timeout-Ms", strconv.FormatInt(min(left, 9_999_999_999), 10))
		}
		x.body.Reset(body)
		x.http.Request.SetBodyStream(&x.body, len(body))
		s.api[request.Peer().Protocol](&x.http)

		answer := x.http.Response.Body()
		if x.http.Response.StatusCode() != http.StatusOK {
			if err, ok := x.refusal(answer, request.Msg.json); ok {
				return nil, err
			}
			return nil, s.bug(path, errForm)
		}
		out := &message{json: request.Msg.json}
		if out.json {
			out.data = bytes.Clone(answer)
		} else if out.data, err = p.answer(make([]byte, 0, len(answer)), answer); err != nil {
			return nil, s.bug(path, err)
		}
		response := connect.NewResponse(out)
		x.tell(response.Header())
		return response, nil
	}
}

// tell copies what the caller is told in headers.
func (x *exchange) tell(to http.Header) {
	for _, name := range back {
		if value := x.http.Response.Header.Peek(name); len(value) > 0 {
			to.Set(name, string(value))
		}
	}
}

// refusal returns the error that stands in an answer; ok is false if there is none.
func (x *exchange) refusal(answer []byte, asJSON bool) (_ error, ok bool) {
	var said struct {
		Code    connect.Code `json:"code"`
		Message string       `json:"message"`
		Details []struct {
			Type  string `json:"type"`
			Value string `json:"value"`
		} `json:"details"`
	}
	if json.Unmarshal(answer, &said) != nil {
		return nil, false
	}
	if !asJSON {
		said.Message = position.ReplaceAllString(said.Message, "proto: ")
	}
	e := connect.NewError(said.Code, errors.New(said.Message))
	for _, d := range said.Details {
		// Of any type: ZITADEL has some that are not known here.
		if value, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(d.Value, "=")); err == nil {
			addDetail(e, &anypb.Any{TypeUrl: "type.googleapis.com/" + d.Type, Value: value})
		}
	}
	if seconds, err := strconv.Atoi(string(x.http.Response.Header.Peek("Retry-After"))); err == nil {
		addDetail(e, &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Duration(seconds) * time.Second)})
	}
	x.tell(e.Meta())
	return e, true
}

// position is where JSON is wrong, which a client that has sent none cannot look up.
var position = regexp.MustCompile(`^proto: \(line \d+:\d+\): `)

func addDetail(e *connect.Error, detail proto.Message) {
	if d, err := connect.NewErrorDetail(detail); err == nil {
		e.AddDetail(d)
	}
}

// peer is the connection that httpapi believes a call came over: of it only its
// addresses are asked for.
type peer struct {
	net.Conn
	remote, local net.Addr
}

// RemoteAddr implements net.Conn.
func (p *peer) RemoteAddr() net.Addr { return p.remote }

// LocalAddr implements net.Conn.
func (p *peer) LocalAddr() net.Addr { return p.local }

// SetReadDeadline implements net.Conn.
func (*peer) SetReadDeadline(time.Time) error { return nil }

// connection is one of net/http's.
type connection struct {
	net.Conn
	bodies atomic.Int64 // bytes, see withBodies
}

type connKey struct{}

// withConn lets calls know their connection.
func withConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, &connection{Conn: conn})
}

// addressesOf returns those of a call's connection.
func addressesOf(ctx context.Context) (remote, local net.Addr) {
	conn, ok := ctx.Value(connKey{}).(*connection)
	if !ok {
		return &net.TCPAddr{}, &net.TCPAddr{}
	}
	return conn.RemoteAddr(), conn.LocalAddr()
}

// withHost puts the host that a request is for among its headers, which calls are shown.
func withHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header["Host"] = []string{r.Host}
		next.ServeHTTP(w, r)
	})
}
