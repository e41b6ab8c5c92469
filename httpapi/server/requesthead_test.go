package server

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// undue is a connection without deadlines.
type undue struct{ net.Conn }

func (undue) SetReadDeadline(time.Time) error  { return nil }
func (undue) SetWriteDeadline(time.Time) error { return nil }

// dripping is a connection on which a request comes byte by byte.
type dripping struct {
	undue
	rest []byte
}

func (d *dripping) Read(p []byte) (int, error) {
	if len(d.rest) == 0 {
		return 0, io.EOF
	}
	p[0], d.rest = d.rest[0], d.rest[1:]
	return 1, nil
}

// A large header that comes byte by byte is not looked through at each byte, and
// is understood as soon as it is whole.
func TestHeaderDrips(t *testing.T) {
	fields := strings.Repeat("A: "+strings.Repeat("b", 300)+"\r\n", 190)
	for name, c := range map[string]struct {
		request string
		most    int // reads; each looks through the whole
		right   bool
	}{
		"small":                {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1 << 10, true},
		"large":                {"GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n", readPiece + 30, true},
		"a body follows":       {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n" + fields + "\r\n123456789", readPiece + 30, true},
		"large, without end":   {"GET / HTTP/1.1\r\nHost: a\r\n" + fields, readPiece + 30, false},
		"empty lines":          {strings.Repeat("\r\n", 30<<10), readPiece + 60, false},
		"then a request":       {strings.Repeat("\n", 5<<10) + "GET / HTTP/1.1\r\nHost: a\r\n" + fields[:50<<10], readPiece + 60, false},
		"larger than may be":   {"GET / HTTP/1.1\r\nHost: a\r\n" + fields + fields, readPiece + 30, false},
		"one line, without LF": {"GET /" + strings.Repeat("a", 100<<10), readPiece + 30, false},
	} {
		conn := &servedConn{Conn: &dripping{rest: []byte(c.request)}, head: requestHead{buffer: 64 << 10}}
		reads := 0
		counted := readerFunc(func(p []byte) (int, error) { reads++; return conn.Read(p) })
		var ctx fasthttp.RequestCtx
		err := ctx.Request.Header.Read(bufio.NewReaderSize(counted, 64<<10))
		if (err == nil) != c.right || reads > c.most {
			t.Errorf("%s: %d reads, want %d at most; %v", name, reads, c.most, err)
		}
		if left := len(conn.Conn.(*dripping).rest); left != len(c.request)-bytes.Index([]byte(c.request), []byte("\r\n\r\n"))-4 && name == "a body follows" {
			t.Errorf("%s: %d bytes of what follows are left", name, left)
		}
	}
}

// pieces is a connection on which a request comes piece by piece.
type pieces struct {
	undue
	rest []string
}

func (c *pieces) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.rest[0])
	if c.rest[0] = c.rest[0][n:]; c.rest[0] == "" {
		c.rest = c.rest[1:]
	}
	return n, nil
}

// Of large headers that come one after the other, each is understood when it is
// whole, before more comes, wherever they are cut. Empty lines before them change
// nothing.
func TestHeadersInPieces(t *testing.T) {
	large := "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("A: "+strings.Repeat("b", 1000)+"\r\n", 9) + "\r\n"
	for _, before := range []string{"", "\r\n", strings.Repeat("\r\n", 3000), strings.Repeat("\n", 30)} {
		request := before + large
		for _, tail := range []int{1, 2, 3, 100} { // the end of a request comes with the beginning of the next
			conn := &pieces{}
			last := ""
			for range 40 {
				conn.rest = append(conn.rest, last+request[:500], request[500:6000], request[6000:len(request)-tail])
				last = request[len(request)-tail:]
			}
			conn.rest = append(conn.rest, last)
			c := &servedConn{Conn: conn, head: requestHead{buffer: 64 << 10}}
			in := bufio.NewReaderSize(c, 64<<10)
			var ctx fasthttp.RequestCtx
			for i := range 40 {
				if err := ctx.Request.Header.Read(in); err != nil || len(ctx.Request.Header.PeekAll("A")) != 9 {
					t.Fatalf("%d bytes before, the last %d apart, request %d: %v", len(before), tail, i, err)
				}
				c.head.next()
				if want := 3 * (39 - i); len(conn.rest) != want {
					t.Fatalf("%d bytes before, the last %d apart: after request %d, %d pieces are left, want %d", len(before), tail, i, len(conn.rest), want)
				}
			}
		}
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// A listener has as many connections as their buffers leave it, whatever these are.
func TestConnectionsOfAListener(t *testing.T) {
	for limit, want := range map[int]int{8 << 10: 24576, 16 << 10: 16384, 64 << 10: 5461, 256 << 10: 1489} { // docs/operations.md has these
		if n := maxConnections(limit); n != want {
			t.Errorf("at most %d connections with %d bytes for headers, want %d", n, limit, want)
		}
	}
	for limit := 8 << 10; limit <= 256<<10; limit *= 2 {
		n := maxConnections(limit)
		if used := n * (limit + writeBufferBytes); used > connectionBytes || used < connectionBytes*9/10 {
			t.Errorf("at most %d connections with %d bytes for headers take %d bytes of %d", n, limit, used, connectionBytes)
		}
	}
}

// A connection does not keep what a large header took, be it of many fields or
// of a long path, nor does the server for the next one. HEAD has no body all the
// same.
func TestLargeHeaderIsForgotten(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	server := New(log, DefaultTimeouts, 64<<10)
	kept := make(chan int, 1)
	server.Handler = func(http *fasthttp.RequestCtx) {
		h := &http.Request.Header
		kept <- cap(h.RawHeaders()) + cap(h.RequestURI())
		http.SetBodyString("body")
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, log, server, ln, 0, 0, func() {}) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	for _, large := range []string{"GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("a:"+strings.Repeat("b", 240)+"\r\n", 250) + "\r\n", "HEAD /" + strings.Repeat("x", 60<<10) + " HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("a:\r\n", 900) + "\r\n"} {
		method, _, _ := strings.Cut(large, " ")
		before := 0
		for i, request := range []string{large, method + " / HTTP/1.1\r\nHost: a\r\n\r\n"} {
			if _, err := io.WriteString(conn, request); err != nil {
				t.Fatal(err)
			}
			res, err := http.ReadResponse(answers, &http.Request{Method: method})
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(res.Body); err != nil || res.Close || res.ContentLength != 4 || (string(body) == "body") != (method == "GET") {
				t.Errorf("%s: got %q, %v, %v", method, body, res, err)
			}
			if n := <-kept; i == 0 {
				before = n
			} else if n > before/4 {
				t.Errorf("%.20q: the connection has %d bytes for headers, after %d", request, n, before)
			}
		}
	}
}
