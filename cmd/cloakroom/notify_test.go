package main

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// manager listens as a service manager does.
func manager(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// told returns the next notice.
func told(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 200)
	n, err := conn.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// READY comes when requests are served, not before.
func TestNotifyTellsTheServiceManager(t *testing.T) {
	for _, path := range []string{filepath.Join(shortDir(t), "n"), "@cloakroom-" + filepath.Base(t.TempDir()) + t.Name()} {
		socket := manager(t, path)
		redis := redistest.Start(t)
		redis.Stop()
		p := launch(t, append([]string{"serve", "--redis-url", redis.URL(), "--auth-anonymous"}, quick()...), "NOTIFY_SOCKET="+path)
		p.logged(t, "redis is not usable yet, trying again", 1)
		if err := socket.SetReadDeadline(time.Now()); err != nil {
			t.Fatal(err)
		}
		if n, err := socket.Read(make([]byte, 200)); err == nil {
			t.Errorf("%s: told %d bytes before it was ready", path, n)
		}
		redis.Restart()
		if got := told(t, socket); got != "READY=1" {
			t.Errorf("%s: got %q", path, got)
		}
		p.ready(t)
		if code := p.stop(); code != exitOK {
			t.Errorf("exit code %d", code)
		}
		if got := told(t, socket); got != "STOPPING=1" {
			t.Errorf("%s: got %q", path, got)
		}
	}
}

func TestNotifyWithoutAListenerIsAWarning(t *testing.T) {
	p := launch(t, append([]string{"serve", "--redis-url=memory:", "--auth-anonymous"}, quick()...), "NOTIFY_SOCKET="+filepath.Join(t.TempDir(), "gone"))
	p.ready(t)
	if got := p.logged(t, "the service manager was not told", 1)["state"]; got != "READY=1" {
		t.Errorf("got %v", got)
	}
	if code := p.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	p = launch(t, append([]string{"serve", "--redis-url=memory:", "--auth-anonymous"}, quick()...), "NOTIFY_SOCKET=")
	p.ready(t)
	if code := p.stop(); code != exitOK || strings.Contains(p.stderr.String(), "service manager") {
		t.Errorf("exit code %d, %s", code, p.stderr)
	}
}
