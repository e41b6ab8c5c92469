package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
)

func TestServeWithRedis(t *testing.T) {
	redis := redistest.Start(t)
	p := launch(t, append([]string{"serve", "--redis-url", redis.URL(), "--auth-anonymous", "--instance-id=i1"}, quick()...))
	api, admin := p.ready(t)
	id := create(t, api, "u1")
	if answer := want(t, 200, "GET", api+"/v2/sessions/"+id, ""); !strings.Contains(answer, `"u1"`) {
		t.Errorf("got %s", answer)
	}
	if got := total(t, api, `{"queries":[{"userIdQuery":{"id":"u1"}}]}`); got != "1" {
		t.Errorf("got %s sessions", got)
	}
	if answer := want(t, 200, "DELETE", api+"/v2/sessions/"+id, ""); !strings.Contains(answer, `"resourceOwner":"i1"`) {
		t.Errorf("got %s", answer)
	}
	want(t, 404, "GET", api+"/v2/sessions/"+id, "")

	want(t, 200, "GET", admin+"/livez", "")
	want(t, 200, "GET", admin+"/readyz", "")
	if answer := want(t, 200, "GET", admin+"/readyz?verbose", ""); !strings.Contains(answer, "near cache: ") {
		t.Errorf("got %s", answer)
	}
	want(t, 200, "GET", admin+"/debug/pprof/goroutine", "")
	want(t, 404, "GET", admin+"/debug/pprof/cmdline", "") // I6: --redis-url may hold a password
	want(t, 403, "GET", admin+"/metrics", "", "Origin", "http://evil.example")
	if answer := want(t, 200, "GET", admin+"/metrics", ""); !strings.Contains(answer, "go_goroutines") ||
		!strings.Contains(answer, "cloakroom_sweep_backlog 0") || !strings.Contains(answer, `cloakroom_near_hits_total{kind="session"}`) || !strings.Contains(answer, "cloakroom_http_requests_total") {
		t.Errorf("got %s", answer)
	}
	if code := p.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	p.logged(t, "stopped", 1)
}

func TestReadyzSaysWhyNot(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	redis.Stop()
	p := launch(t, append([]string{"serve", "--redis-url", redis.URL(), "--auth-anonymous"}, quick()...))
	starting := p.logged(t, "starting", 1)
	p.logged(t, "redis is not usable yet, trying again", 1)
	admin := "http://" + starting["admin"].(string)
	if answer := want(t, 503, "GET", admin+"/readyz", ""); !strings.Contains(answer, "waiting for redis") {
		t.Errorf("got %s", answer)
	}
	want(t, 200, "GET", admin+"/livez", "")

	redis.Restart()
	api, _ := p.ready(t)
	create(t, api, "u1")
	want(t, 200, "GET", admin+"/readyz", "")

	redis.Stop()
	if answer := want(t, 503, "GET", admin+"/readyz", ""); !strings.Contains(answer, "unavailable") {
		t.Errorf("got %s", answer)
	}
	redis.Restart()
	awaitStatus(t, 200, admin+"/readyz")
}

func TestStopWhileRedisIsAway(t *testing.T) {
	redis := redistest.Start(t)
	redis.Stop()
	p := launch(t, append([]string{"serve", "--redis-url", redis.URL(), "--auth-anonymous"}, quick()...))
	p.logged(t, "redis is not usable yet, trying again", 1)
	if code := p.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestOtherShardsAreRefused(t *testing.T) {
	redis := redistest.Start(t)
	args := append([]string{"serve", "--redis-url", redis.URL(), "--auth-anonymous"}, quick()...)
	p := launch(t, append(args, "--redis-shards=4"))
	if got := p.logged(t, "ready", 1)["shards"]; got != 4.0 {
		t.Errorf("got %v shards", got)
	}
	p.stop()
	p = launch(t, append(args, "--redis-shards=2"))
	if code := p.wait(); code != exitFailed || !strings.Contains(p.stderr.String(), "spread over 4 shards, not 2") {
		t.Errorf("exit code %d", code)
	}
	p = launch(t, args)
	if got := p.logged(t, "ready", 1)["shards"]; got != 4.0 {
		t.Errorf("got %v shards", got)
	}
}

// TestEndsIfOthersRecordAnotherNumberOfShards is about a Redis that lost its
// data, and a second process that came first after that.
func TestEndsIfOthersRecordAnotherNumberOfShards(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	p := launch(t, append([]string{"serve", "--redis-url", redis.URL(), "--auth-anonymous", "--redis-shards=4"}, quick()...))
	p.ready(t)
	rdb := redis.Client(t)
	meta, err := rdb.Get(t.Context(), "cr:meta").Result()
	if err != nil || !strings.HasSuffix(meta, " shards=4") {
		t.Fatalf("got %q, %v", meta, err)
	}
	if err := rdb.Set(t.Context(), "cr:meta", strings.TrimSuffix(meta, "4")+"2", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if code := p.wait(); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	got := p.logged(t, "stopped after a failure", 1)["error"].(string)
	if !strings.HasPrefix(got, "session store: ") || !strings.Contains(got, "spread over 2 shards, not 4") {
		t.Errorf("got %s", got)
	}
}

func TestI6_LogDoesNotShowThePassword(t *testing.T) {
	redis := redistest.Start(t, "requirepass hunter2")
	url := "redis://:hunter2@" + strings.TrimPrefix(redis.URL(), "redis://")
	p := launch(t, append([]string{"serve", "--redis-url", url, "--auth-anonymous", "--log-level=debug"}, quick()...))
	p.ready(t)
	p.stop()
	wrong := launch(t, append([]string{"serve", "--redis-url", strings.Replace(url, "hunter2", "hunter3", 1), "--auth-anonymous"}, quick()...))
	wrong.logged(t, "redis is not usable yet, trying again", 2)
	wrong.stop()
	if log := p.stderr.String() + wrong.stderr.String(); strings.Contains(log, "hunter") || !strings.Contains(log, "redis://:xxxxx@") {
		t.Error("the log shows the password, or no URL")
	}
}

func TestPprofOnlyWhereItMay(t *testing.T) {
	keysFile := testfile.Write(t, testfile.OneKey)
	f := func(status int, more ...string) {
		t.Helper()
		p := launch(t, append([]string{"serve", "--redis-url=memory:", "--auth-keys-file", keysFile, "--http-addr=127.0.0.1:0"}, more...))
		_, admin := p.ready(t)
		_, port, err := net.SplitHostPort(strings.TrimPrefix(admin, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		want(t, status, "GET", "http://127.0.0.1:"+port+"/debug/pprof/goroutine", "")
		p.stop()
	}
	f(404, "--admin-addr=0.0.0.0:0")
	f(200, "--admin-addr=0.0.0.0:0", "--pprof")
	f(200, "--admin-addr=127.0.0.1:0")
}

func TestPortTaken(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	taken := ln.Addr().String()
	for _, flag := range []string{"http-addr", "admin-addr"} {
		p := launch(t, append(append([]string{"dev"}, quick()...), "--"+flag+"="+taken))
		if code := p.wait(); code != exitFailed || !strings.Contains(p.stderr.String(), "cannot listen on "+taken+": the port is taken; choose another with --"+flag) {
			t.Errorf("--%s: exit code %d", flag, code)
		}
	}
}

func TestUnixSockets(t *testing.T) {
	dir := shortDir(t)
	path, admin := filepath.Join(dir, "api"), filepath.Join(dir, "admin")
	stale(t, path)
	args := []string{"serve", "--redis-url=memory:", "--auth-anonymous", "--http-addr=unix:" + path, "--admin-addr=unix:" + admin}
	p := launch(t, args)
	if got := p.logged(t, "ready", 1)["http"]; got != "unix:"+path {
		t.Errorf("got %v", got)
	}
	for _, s := range []string{path, admin} {
		if info, err := os.Stat(s); err != nil || info.Mode().Perm() != 0o660 {
			t.Errorf("%s: %v, %v", s, info, err)
		}
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	res, err := c.Post("http://any.name/v2/sessions/search", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil || res.StatusCode != 200 {
		t.Errorf("got %d, %v", res.StatusCode, err)
	}
	second := launch(t, args)
	if code := second.wait(); code != exitFailed || !strings.Contains(second.stderr.String(), "another process listens there") {
		t.Errorf("exit code %d", code)
	}
	p.stop()
	for _, s := range []string{path, admin} {
		if _, err := os.Stat(s); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", s, err)
		}
	}
}

// stale leaves a socket behind on which nobody listens, as a crash does.
func stale(t *testing.T, path string) {
	t.Helper()
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
}

// selfCommand runs this test's binary as the program, in a process of its own.
func selfCommand(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// process starts the program in a process of its own, and returns it when its
// log has this message.
func process(t *testing.T, message string, args ...string) (*exec.Cmd, *output) {
	t.Helper()
	cmd, log := selfCommand(t, args...), newOutput()
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	(&cloakroom{stderr: log}).logged(t, message, 1)
	return cmd, log
}

func TestSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		cmd, log := process(t, "ready", append([]string{"serve", "--redis-url=memory:", "--auth-anonymous"}, quick()...)...)
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		p := &cloakroom{stderr: log}
		p.logged(t, "SIGHUP: there is nothing to reload: no --auth-keys-file, no --auth-issuers-file, no --assertion-key-file, no --upstream-token-file, no --upstream-event-key-file, and no certificate of a listener", 1)
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		p.logged(t, "stopped", 1)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v", sig, err)
		}
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	for _, c := range []struct {
		name       string
		first, sig syscall.Signal
	}{{"serve", syscall.SIGINT, syscall.SIGINT}, {"serve", syscall.SIGTERM, syscall.SIGTERM}, {"dev", syscall.SIGHUP, syscall.SIGTERM}} {
		sig := c.sig
		cmd, log := process(t, "ready", append([]string{c.name, "--redis-url=memory:", "--auth-anonymous", "--shutdown-timeout=10m"}, quick()...)...)
		p := &cloakroom{stderr: log}
		conn, err := net.Dial("tcp", p.logged(t, "ready", 1)["http"].(string))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		// An import that does not end holds the shutdown up. The answer to its
		// first bytes says that it is under way.
		_, err = io.WriteString(conn, "POST /v2/sessions/import HTTP/1.1\r\nHost: 127.0.0.1\r\n"+
			"Content-Type: application/x-ndjson\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(c.first); err != nil {
			t.Fatal(err)
		}
		p.logged(t, "stopping", 1)
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		again := time.NewTicker(20 * time.Millisecond)
		defer again.Stop()
		for sent := 0; err == nil; sent++ {
			// More than once: the first one may come while the handler is taken away, but not after SIGHUP.
			if sent == 0 || c.first == sig {
				_ = cmd.Process.Signal(sig)
			}
			select {
			case err = <-ended:
				if err == nil {
					t.Fatalf("%v: the program ended with code 0", sig)
				}
			case <-again.C:
			case <-t.Context().Done():
				t.Fatal(t.Context().Err())
			}
		}
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != sig {
			t.Errorf("%v: %v", sig, err)
		}
		if strings.Contains(log.String(), `"stopped"`) {
			t.Errorf("%v: the shutdown did not last", sig)
		}
	}
}

func TestEnvironmentOfKubernetes(t *testing.T) {
	p := launch(t, append([]string{"serve"}, quick()...), "CLOAKROOM_REDIS_URL=memory:", "CLOAKROOM_AUTH_ANONYMOUS=true",
		"CLOAKROOM_PORT=tcp://10.0.0.1:80", "CLOAKROOM_SERVICE_HOST=10.0.0.1", "CLOAKROOM_TYPO=1")
	p.ready(t)
	p.logged(t, "unknown environment variable CLOAKROOM_TYPO is ignored", 1)
	if log := p.stderr.String(); strings.Contains(log, "CLOAKROOM_PORT") || strings.Contains(log, "CLOAKROOM_SERVICE") {
		t.Error("variables of Kubernetes are in the log")
	}
}

// The limit on a user's sessions and its policy reach the store.
func TestMaxSessionsPerUser(t *testing.T) {
	redis := redistest.Start(t)
	serve := append([]string{"serve", "--redis-url", redis.URL(), "--auth-anonymous", "--max-sessions-per-user=1"}, quick()...)
	p := launch(t, serve)
	api, admin := p.ready(t)
	first := create(t, api, "u1")
	second := create(t, api, "u1")
	want(t, 404, "GET", api+"/v2/sessions/"+first, "")
	want(t, 200, "GET", api+"/v2/sessions/"+second, "")
	if got := p.logged(t, "session evicted", 1); got["session_id"] != first || got["user_id"] != "u1" || got["for_session_id"] != second {
		t.Errorf("got %v", got)
	}
	if answer := want(t, 200, "GET", admin+"/metrics", ""); !strings.Contains(answer, "cloakroom_sessions_evicted_total 1\n") {
		t.Errorf("got %s", answer)
	}
	if code := p.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}

	p = launch(t, append(serve, "--max-sessions-policy=refuse"))
	api, _ = p.ready(t)
	answer := want(t, 429, "POST", api+"/v2/sessions", `{"checks":{"user":{"userId":"u1"}}}`)
	if !strings.Contains(answer, "--max-sessions-per-user allows, which is 1") {
		t.Errorf("got %s", answer)
	}
	want(t, 200, "GET", api+"/v2/sessions/"+second, "")
	if code := p.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestMemory(t *testing.T) {
	p := launch(t, append([]string{"serve", "--redis-url=memory:", "--auth-anonymous"}, quick()...))
	api, _ := p.ready(t)
	if got := p.logged(t, "memory: is for trying out only: sessions are gone at exit", 1)["most_sessions"]; got != 10_000.0 {
		t.Errorf("got %v", got)
	}
	id := create(t, api, "u1")
	want(t, 200, "GET", api+"/v2/sessions/"+id, "")
	var ids []string
	for range 50 {
		ids = append(ids, create(t, api, "u2"))
	}
	b, err := json.Marshal(map[string]any{"queries": []any{map[string]any{"idsQuery": map[string]any{"ids": ids}}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := total(t, api, string(b)); got != "50" {
		t.Errorf("got %s", got)
	}
	if code := p.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}
