package listen

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// A new process that fails takes no connection from the old one; a third gets none, and is told so.
func TestReusePortThatFails(t *testing.T) {
	t.Parallel()
	old := share(t, "127.0.0.1:0")
	defer old.Close()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	c := &Addresses{ReusePort: true, HTTP: old.Addr().String(), Verify: taken.Addr().String()}
	failing(t, c, "choose another with --verify-addr", old.Addr().String())

	second := share(t, old.Addr().String())
	defer second.Close()
	c = &Addresses{ReusePort: true, HTTP: old.Addr().String()}
	if _, err := c.OpenForRequests(t.Context()); err == nil || !strings.Contains(err.Error(), "2 processes with --reuse-port listen there already") {
		t.Errorf("a third one: %v", err)
	}
}

// failing starts c again and again, which fails as told, while who connects to addr is answered by the old one.
func failing(t *testing.T, c *Addresses, told, addr string) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 20 {
			_, err := c.OpenForRequests(t.Context())
			if err == nil || !strings.Contains(err.Error(), told) {
				t.Errorf("got %v", err)
				return
			}
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		text := make([]byte, len("old"))
		if _, err := io.ReadFull(conn, text); string(text) != "old" || err != nil {
			t.Fatalf("got %q, %v", text, err)
		}
		_ = conn.(*net.TCPConn).SetLinger(0) // the kernel would list it for a minute
		conn.Close()
	}
}

// share listens at addresses as a process with --reuse-port does, and answers who connects to the first.
func share(t *testing.T, http string, verify ...string) net.Listener {
	t.Helper()
	c := &Addresses{ReusePort: true, HTTP: http, Verify: strings.Join(verify, "")}
	opened, err := c.OpenForRequests(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ln := opened.HTTP
	if opened.Verify != nil {
		t.Cleanup(func() { opened.Verify.Close() })
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("old"))
			_, _ = io.Copy(io.Discard, conn)
			conn.Close()
		}
	}()
	return ln
}

// The listener of gRPC is shared as the others are.
func TestReusePortOfGRPC(t *testing.T) {
	t.Parallel()
	port := redistest.FreeAddr(t)
	for range 2 {
		c := &Addresses{ReusePort: true, HTTP: "127.0.0.1:0", GRPC: port}
		opened, err := c.OpenForRequests(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer opened.HTTP.Close()
		defer opened.GRPC.Close()
		if got := opened.GRPC.Addr().String(); got != port {
			t.Errorf("it listens at %s, not %s", got, port)
		}
	}
}

// A process that is the third at one of its ports takes no connection at the other.
func TestReusePortOfAThird(t *testing.T) {
	t.Parallel()
	port := redistest.FreeAddr(t)
	first := share(t, "127.0.0.1:0", port)
	defer first.Close()
	second := share(t, "127.0.0.1:0", port)
	defer second.Close()
	c := &Addresses{ReusePort: true, HTTP: first.Addr().String(), Verify: port}
	failing(t, c, "cannot listen on "+port+" (--verify-addr): 2 processes with --reuse-port listen there already", first.Addr().String())

	everywhere := share(t, ":0")
	defer everywhere.Close()
	_, number, err := net.SplitHostPort(everywhere.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	also := share(t, ":"+number)
	defer also.Close()
	for _, host := range []string{"127.0.0.1", "0.0.0.0", "localhost"} {
		c := &Addresses{ReusePort: true, HTTP: host + ":" + number}
		if _, err := c.OpenForRequests(t.Context()); err == nil || !strings.Contains(err.Error(), "2 processes with --reuse-port listen there already") {
			t.Errorf("%s: got %v", host, err)
		}
	}
}
