package redisproxy

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// echo is a server that answers every line with itself.
func echo(t *testing.T) string {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	return ln.Addr().String()
}

// startProxy runs bench redis-proxy, and returns where it listens and its control.
func startProxy(t *testing.T, redis string) (addr, control string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	out, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- Command(ctx, []string{"--redis", "redis://" + redis}, w, io.Discard)
		w.Close()
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	line, _ := bufio.NewReader(out).ReadString('\n')
	m := regexp.MustCompile(`^listening on (\S+), control on (\S+)\n$`).FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("%q", line)
	}
	return m[1], "http://" + m[2]
}

func TestProxy_SilencesOnlyInvalidations(t *testing.T) {
	addr, control := startProxy(t, echo(t))
	tell := func(what string) string {
		t.Helper()
		r, err := http.Post(control+what, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		return string(b)
	}
	dial := func() (net.Conn, *bufio.Reader) {
		t.Helper()
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn, bufio.NewReader(conn)
	}
	say := func(conn net.Conn, r *bufio.Reader, text string) {
		t.Helper()
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(text))
		if _, err := io.ReadFull(r, got); err != nil || string(got) != text {
			t.Fatalf("%q came back as %q, %v", text, got, err)
		}
	}
	ordinary, fromOrdinary := dial()
	say(ordinary, fromOrdinary, "*2\r\n$3\r\nget\r\n$8\r\ntracking")
	if got := tell("/stall"); got != `{"connections":0}` {
		t.Fatalf("no connection has invalidations, and %s is stalled", got)
	}
	tracking, fromTracking := dial()
	for _, part := range []string{"*3\r\n$6\r\nclient\r\n$8\r", "\ntrack", "ing\r\n$2\r\non\r\n"} { // in pieces
		say(tracking, fromTracking, part)
	}
	if got := tell("/stall"); got != `{"connections":1}` {
		t.Fatalf("%s", got)
	}
	// The silent connection takes what is sent to it. By the time the other one,
	// asked later, has answered, and it is cut, nothing of it has come back.
	if _, err := io.WriteString(tracking, "lost\n"); err != nil {
		t.Fatal(err)
	}
	say(ordinary, fromOrdinary, "after\n")
	if got := tell("/cut"); got != `{"connections":1}` {
		t.Fatalf("%s", got)
	}
	if b, _ := io.ReadAll(fromTracking); len(b) > 0 {
		t.Errorf("a silent connection says %q", b)
	}
	say(ordinary, fromOrdinary, "still\n")
	if got := tell("/else"); !strings.Contains(got, "not found") {
		t.Error(got)
	}
}
