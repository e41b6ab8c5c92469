package main

import (
	"io"
	"net"
	"strings"
	"testing"
)

// A new process that fails takes no connection from the old one; a third gets none, and is told so.
func TestReusePortThatFails(t *testing.T) {
	t.Parallel()
	old, err := listenReusePort(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	go func() {
		for {
			conn, err := old.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("old"))
			conn.Close()
		}
	}()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	c := &config{reusePort: true, httpAddr: old.Addr().String(), verifyAddr: taken.Addr().String()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 300 {
			_, _, err := c.listenForRequests(t.Context())
			if err == nil || !strings.Contains(err.Error(), "choose another with --verify-addr") {
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
		conn, err := net.Dial("tcp", old.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(conn); string(text) != "old" || err != nil {
			t.Fatalf("got %q, %v", text, err)
		}
		conn.Close()
	}

	second, err := listenReusePort(t.Context(), old.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if _, err := (&config{}).listen(t.Context(), "http-addr", old.Addr().String(), true); err == nil || !strings.Contains(err.Error(), "2 processes with --reuse-port listen there already") {
		t.Errorf("a third one: %v", err)
	}
}
