package gateways

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// Traefik and Oathkeeper cut a request that takes longer than a minute, or a few seconds, if they are not told otherwise.
func TestUpload_SlowOnesAreNotCut(t *testing.T) {
	t.Parallel()
	traefik := at[object](t, readYAML[object](t, nil, "traefik/traefik.yaml"), "entryPoints/web/transport/respondingTimeouts")
	oathkeeper := at[object](t, readYAML[object](t, nil, "oathkeeper/config.yaml"), "serve/proxy/timeout")
	for name, d := range map[string]time.Duration{
		"Traefik's readTimeout": duration(t, traefik, "readTimeout"),
		"Oathkeeper's read":     duration(t, oathkeeper, "read"),
		"Oathkeeper's write":    duration(t, oathkeeper, "write"),
	} {
		if d < 10*time.Minute {
			t.Errorf("%s is %v", name, d)
		}
	}
}

// The application sees the first bytes of an upload before the client has sent the last.
func TestUpload_IsNotStoredOnTheWay(t *testing.T) {
	forEach(t, gateways, func(t *testing.T, g gateway) {
		w := newWorld(t, nil)
		first, whole := make(chan struct{}), make(chan int64, 1)
		w.addr = g.Start(t, w.verify.Addr, serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPost {
				return
			}
			_, _ = io.ReadFull(r.Body, make([]byte, 100))
			close(first)
			n, _ := io.Copy(io.Discard, r.Body)
			whole <- 100 + n
		})))
		r := request{method: http.MethodPost, body: 200}.by(w.ours.login(t, "upload"))
		conn := connect(t, w.addr, r.wire()+strings.Repeat("0", 100))
		select {
		case <-first:
		case <-time.After(patience):
			t.Fatal("it sees nothing before the last byte")
		}
		if _, err := io.WriteString(conn, strings.Repeat("0", 100)); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if n := <-whole; response.StatusCode != http.StatusOK || n != int64(r.body) {
			t.Errorf("status %d, the application saw %d bytes of %d", response.StatusCode, n, r.body)
		}
	})
}

// While the client does not read a download, the application cannot write all of it: what the sockets do not hold waits.
func TestDownload_IsNotStoredOnTheWay(t *testing.T) {
	forEach(t, gateways[:3], func(t *testing.T, g gateway) {
		w := newWorld(t, nil)
		stalled := make(chan bool, 1)
		w.addr = g.Start(t, w.verify.Addr, serve(t, http.HandlerFunc(func(to http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/download" {
				return
			}
			_ = http.NewResponseController(to).SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
			_, err := to.Write(make([]byte, 128<<20))
			stalled <- errors.Is(err, os.ErrDeadlineExceeded)
		})))
		r := request{target: "/download"}.by(w.ours.login(t, "download"))
		connect(t, w.addr, r.wire())
		select {
		case ok := <-stalled:
			if !ok {
				t.Error("all is written, and nothing is read")
			}
		case <-time.After(patience):
			t.Error("it does not reach the application")
		}
	})
}

// connect connects to addr until the end of the test, and sends text.
func connect(t *testing.T, addr, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}
