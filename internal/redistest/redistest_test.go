package redistest_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
)

func TestMain(m *testing.M) {
	testdepth.Parallel(6) // most wait
	goleak.VerifyTestMain(m)
}

// silent returns a context for a request that is expected to get no answer.
func silent(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestStart_AnswersOverTCPAndSocketAndURL(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	if err := s.Client(t).Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	overSocket := s.Client(t, func(o *redis.Options) { o.Network, o.Addr = "unix", s.Socket })
	if v, err := overSocket.Get(t.Context(), "k").Result(); v != "v" || err != nil {
		t.Errorf("over the socket: got %q, %v", v, err)
	}
	o, err := redis.ParseURL(s.URL())
	if err != nil || o.Addr != s.Addr {
		t.Errorf("ParseURL(%q): got %v, %v", s.URL(), o, err)
	}
	// A unix socket's path fits into sockaddr_un on every system.
	if len(s.Socket) > 103 {
		t.Errorf("the socket's path %q has %d bytes", s.Socket, len(s.Socket))
	}
}

func TestStart_ConfWinsOverDefaults(t *testing.T) {
	t.Parallel()
	c := redistest.Start(t, "maxmemory 20mb", "appendonly yes").Client(t)
	for name, want := range map[string]string{"maxmemory": "20971520", "appendonly": "yes", "save": ""} {
		got, err := c.ConfigGet(t.Context(), name).Result()
		if err != nil || got[name] != want {
			t.Errorf("CONFIG GET %s: got %q, %v, want %q", name, got[name], err, want)
		}
	}
}

func TestStart_ServersAreApart(t *testing.T) {
	t.Parallel()
	a, b := redistest.Start(t), redistest.Start(t)
	if err := a.Client(t).Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := b.Client(t).Get(t.Context(), "k").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("the other server has the key: %v", err)
	}
}

func TestStart_LeavesNothingBehind(t *testing.T) {
	t.Parallel()
	var dir, addr string
	t.Run("server", func(t *testing.T) {
		s := redistest.Start(t)
		dir, addr = filepath.Dir(s.Socket), s.Addr
	})
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
	refused(t, addr)
}

// refused dials addr and wants no listener there.
func refused(t *testing.T, addr string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err == nil {
		conn.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial: got %v, want connection refused", err)
	}
}

func TestServer_RestartKeepsOnlyWhatIsOnDisk(t *testing.T) {
	t.Parallel()
	f := func(end func(*redistest.Server), want error, conf ...string) {
		t.Helper()
		s := redistest.Start(t, conf...)
		if err := s.Client(t).Set(t.Context(), "k", "v", 0).Err(); err != nil {
			t.Fatal(err)
		}
		addr := s.Addr
		end(s)
		refused(t, addr)
		s.Restart()
		if s.Addr != addr {
			t.Errorf("the address changed from %s to %s", addr, s.Addr)
		}
		if err := s.Client(t).Get(t.Context(), "k").Err(); !errors.Is(err, want) {
			t.Errorf("after the restart: got %v, want %v", err, want)
		}
	}
	f((*redistest.Server).Stop, redis.Nil)
	f((*redistest.Server).Kill, redis.Nil)
	f((*redistest.Server).Stop, nil, "appendonly yes")
	f((*redistest.Server).Kill, nil, "appendonly yes", "appendfsync always")
}

func TestServer_RestartsWhileItRuns(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := s.Client(t)
	before, err := c.InfoMap(t.Context(), "server").Result()
	if err != nil {
		t.Fatal(err)
	}
	s.Restart()
	after, err := s.Client(t).InfoMap(t.Context(), "server").Result()
	if err != nil || before["Server"]["run_id"] == after["Server"]["run_id"] {
		t.Errorf("the run ID is still %q, %v", after["Server"]["run_id"], err)
	}
}

func TestServer_PauseIsSilentUntilResume(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := s.Client(t)
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	s.Pause()
	if err := c.Ping(silent(t)).Err(); !isTimeout(err) {
		t.Errorf("while paused: got %v, want a time-out", err)
	}
	s.Resume()
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Errorf("after Resume: %v", err)
	}
}

func TestServer_StopsAndDiesWhilePaused(t *testing.T) {
	t.Parallel()
	for _, end := range []func(*redistest.Server){(*redistest.Server).Stop, (*redistest.Server).Kill} {
		s := redistest.Start(t)
		s.Pause()
		end(s)
		refused(t, s.Addr)
	}
}

func isTimeout(err error) bool {
	var netErr net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &netErr) && netErr.Timeout()
}
