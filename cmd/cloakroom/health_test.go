package main

import (
	"bytes"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
)

// askHealth runs `cloakroom health` and returns its exit code and what it says.
func askHealth(t *testing.T, env []string, args ...string) (int, string) {
	t.Helper()
	var out, log bytes.Buffer
	code := run(t.Context(), append([]string{"health"}, args...), env, &out, &log, nil)
	return code, out.String() + log.String()
}

func TestHealthSaysWhetherRequestsAreServed(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	for _, addr := range []string{"127.0.0.1:0", ":0", "unix:" + filepath.Join(shortDir(t), "a")} {
		p := launch(t, []string{"serve", "--redis-url", redis.URL(), "--auth-keys-file", testfile.Write(t, testfile.OneKey), "--http-addr=127.0.0.1:0", "--admin-addr=" + addr})
		admin, _ := p.logged(t, "ready", 1)["admin"].(string)
		if !strings.HasPrefix(admin, "unix:") {
			_, port, err := net.SplitHostPort(admin)
			if err != nil {
				t.Fatal(err)
			}
			host, _, _ := strings.Cut(addr, ":")
			admin = host + ":" + port // what the operator wrote: ":9090" is reached over loopback
		}
		f := func(wantCode int, wantText string, env []string, args ...string) {
			t.Helper()
			if code, said := askHealth(t, env, args...); code != wantCode || !strings.Contains(said, wantText) {
				t.Errorf("%s: got %d, %q, want %d, %q", admin, code, said, wantCode, wantText)
			}
		}
		f(exitOK, "", nil, "--admin-addr", admin)
		f(exitOK, "", []string{"CLOAKROOM_ADMIN_ADDR=" + admin})
		f(exitOK, "", []string{"CLOAKROOM_ADMIN_ADDR=127.0.0.1:1"}, "--admin-addr="+admin)
		redis.Stop()
		f(exitFailed, "503: ", nil, "--admin-addr", admin)
		redis.Restart()
		if code := p.stop(); code != exitOK {
			t.Errorf("exit code %d", code)
		}
		f(exitFailed, "no answer at", nil, "--admin-addr", admin)
	}
}

func TestHealthFaults(t *testing.T) {
	f := func(wantCode int, wantText string, env []string, args ...string) {
		t.Helper()
		if code, said := askHealth(t, env, args...); code != wantCode || !strings.Contains(said, wantText) {
			t.Errorf("%q: got %d, %q, want %d, %q", args, code, said, wantCode, wantText)
		}
	}
	f(exitOK, "Usage: cloakroom health", nil, "--help")
	f(exitUsage, "--admin-addr", nil, "--admin-addr=nowhere")
	f(exitUsage, "CLOAKROOM_ADMIN_ADDR", []string{"CLOAKROOM_ADMIN_ADDR=nowhere"})
	f(exitUsage, "--redis-url", nil, "--redis-url=memory:")
	f(exitUsage, "is no flag", nil, "stray")
}
