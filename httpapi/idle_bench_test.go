package httpapi

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/valyala/fasthttp"
)

// BenchmarkIdleConnections is what a connection takes that rests after a request,
// of this process with both its ends: of the heap and the stacks, as the garbage
// collector counts it, and resident. Some have sent large headers of short fields.
func BenchmarkIdleConnections(b *testing.B) {
	f := newFixture(b, withVerify)
	_, token := f.login(aliceVerified)
	const connections = 4000
	verify := f.verifyListener("tcp", "127.0.0.1:0").String()
	large := strings.Repeat("a:"+strings.Repeat("b", 240)+"\r\n", manyLines-6)
	many := strings.Repeat("a:\r\n", 980)
	for _, l := range []struct{ name, addr, request string }{
		{"verify", verify, "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + token + "\r\n\r\n"},
		{"verify with large headers", verify, "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + token + "\r\n" + large + "\r\n"},
		{"verify with many headers", verify, "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + token + "\r\n" + many + "\r\n"},
		{"API", f.addr, "GET /v2/sessions/x HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + f.secret["admin"] + "\r\n\r\n"},
	} {
		b.Run(l.name, func(b *testing.B) {
			for b.Loop() {
				heap, resident := footprint(b)
				var open []net.Conn
				for range connections {
					conn, err := net.Dial("tcp", l.addr)
					if err != nil {
						b.Fatal(err)
					}
					open = append(open, conn)
					if _, err := conn.Write([]byte(l.request)); err != nil {
						b.Fatal(err)
					}
					res, err := http.ReadResponse(bufio.NewReaderSize(conn, 16), nil)
					if err != nil {
						b.Fatal(err)
					}
					res.Body.Close()
					if res.Close || res.StatusCode != http.StatusOK && l.addr == verify {
						b.Fatalf("got %v", res)
					}
				}
				heap2, resident2 := footprint(b)
				b.ReportMetric(float64(heap2-heap)/connections, "heap-B/connection")
				b.ReportMetric(float64(resident2-resident)/connections, "resident-B/connection")
				for _, conn := range open {
					conn.Close()
				}
			}
		})
	}
}

// BenchmarkWaitingConnections is what a connection takes that waits for the body of
// a request, with the worst headers that are taken, as BenchmarkIdleConnections.
// The credential is looked at only when the body comes. Each case alone, too.
func BenchmarkWaitingConnections(b *testing.B) {
	f := newFixture(b)
	const connections = 2000
	var read atomic.Int64
	ln := listen(b)
	srv := server.New(f.server.log, server.DefaultTimeouts, 64<<10)
	srv.Handler = func(*fasthttp.RequestCtx) {}
	f.server.readHeaders(srv)
	received := srv.HeaderReceived
	srv.HeaderReceived = func(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
		defer read.Add(1)
		return received(h)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, f.server.log, srv, ln, 0, 0, func() {}) }()
	defer func() {
		stop()
		<-ended
	}()
	for _, l := range []struct{ name, path, headers string }{
		{"short lines", "/v2/sessions", strings.Repeat("a:\r\n", (4096-200)/4)},
		{"long lines", "/v2/sessions", strings.Repeat("a:"+strings.Repeat("b", 240)+"\r\n", manyLines-6)},
		{"one line", "/v2/sessions", "a:" + strings.Repeat("b", 60_000) + "\r\n"},
		{"long path", "/" + strings.Repeat("b", 60_000), ""},
	} {
		b.Run(l.name, func(b *testing.B) {
			for b.Loop() {
				heap, resident := footprint(b)
				var open []net.Conn
				for range connections {
					conn, err := net.Dial("tcp", ln.Addr().String())
					if err != nil {
						b.Fatal(err)
					}
					open = append(open, conn)
					if _, err := conn.Write([]byte("POST " + l.path + " HTTP/1.1\r\nHost: h\r\nAuthorization: x\r\nContent-Length: 9\r\n" + l.headers + "\r\n")); err != nil {
						b.Fatal(err)
					}
				}
				eventually.Holds(b, "all headers", func() bool { return read.Load() == connections })
				read.Store(0)
				heap2, resident2 := footprint(b)
				b.ReportMetric(float64(heap2-heap)/connections, "heap-B/connection")
				b.ReportMetric(float64(resident2-resident)/connections, "resident-B/connection")
				for _, conn := range open {
					conn.Close()
				}
			}
		})
	}
}

// footprint is what this process takes, after a collection, in bytes.
func footprint(b *testing.B) (heap, resident int) {
	b.Helper()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		b.Fatal(err)
	}
	return int(m.HeapAlloc + m.StackInuse), kib << 10
}

// BenchmarkVerifyConnection is a verify over a connection that stays open, with
// the near cache, by the time until its answer has come.
func BenchmarkVerifyConnection(b *testing.B) {
	f := newFixture(b, withVerify, withNear)
	requests := nearRequests(f)
	startNear(f, requests["Search"])
	conn, err := net.Dial("tcp", f.verifyListener("tcp", "127.0.0.1:0").String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	request := []byte("GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer 218480890961985795." + strings.Repeat("k", 43) + "\r\n\r\n")
	answer := make([]byte, 8<<10)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := conn.Write(request); err != nil {
			b.Fatal(err)
		}
		n, err := conn.Read(answer)
		if err != nil || string(answer[9:12]) != "200" {
			b.Fatalf("%s %v", answer[:n], err)
		}
	}
}
