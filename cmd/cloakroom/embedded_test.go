package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/redisconn"
	"github.com/redis/go-redis/v9"
)

func embeddedArgs(dir string) []string {
	return append([]string{"serve", "--redis-url", "embedded:" + dir, "--auth-anonymous"}, quick()...)
}

// shortDir is a directory whose path leaves room for a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "cr")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestEmbeddedSurvivesRestart(t *testing.T) {
	dir := filepath.Join(shortDir(t), "data with space")
	p := launch(t, embeddedArgs(dir))
	api, _ := p.ready(t)
	id := create(t, api, "u1")
	if code := p.stop(); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%s: %v, %v", dir, info, err)
	}
	p = launch(t, embeddedArgs(dir))
	api, _ = p.ready(t)
	want(t, 200, "GET", api+"/v2/sessions/"+id, "")
	if got := total(t, api, "{}"); got != "1" {
		t.Errorf("got %s sessions", got)
	}
}

// open lists the files below dir that other users can read or write, given
// that they can enter dir.
func open(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if d.IsDir() && info.Mode().Perm()&0o077 == 0 {
			return filepath.SkipDir
		}
		if info.Mode().Perm()&0o077 != 0 {
			found = append(found, path+" "+info.Mode().String())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestI6_EmbeddedFilesAreForNobodyElse(t *testing.T) {
	dir := shortDir(t)
	mode := func(path string, m os.FileMode) {
		t.Helper()
		if err := os.Chmod(path, m); err != nil {
			t.Fatal(err)
		}
	}
	mode(dir, 0o755)
	p := launch(t, embeddedArgs(dir))
	api, _ := p.ready(t)
	id := create(t, api, "u1")
	if found := open(t, dir); len(found) > 0 {
		t.Errorf("a new store in a 0755 directory: others can open %q", found)
	}
	files, err := filepath.Glob(filepath.Join(dir, "appendonlydir", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, f := range files { // the umask alone keeps them, too
		if info, err := os.Stat(f); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", f, info.Mode(), err)
		}
	}
	p.stop()

	// As a server without the umask leaves it.
	mode(filepath.Join(dir, "appendonlydir"), 0o755)
	for _, f := range files {
		mode(f, 0o644)
	}
	if found := open(t, dir); len(found) == 0 {
		t.Fatal("others can open nothing before the second start")
	}
	p = launch(t, embeddedArgs(dir))
	api, _ = p.ready(t)
	want(t, 200, "GET", api+"/v2/sessions/"+id, "")
	if found := open(t, dir); len(found) > 0 {
		t.Errorf("an existing store: others can open %q", found)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the directory itself was changed: %v, %v", info.Mode(), err)
	}
}

func TestEmbeddedSettings(t *testing.T) {
	dir := shortDir(t)
	p := launch(t, embeddedArgs(dir))
	p.ready(t)
	rdb := redis.NewClient(&redis.Options{Network: "unix", Addr: filepath.Join(dir, "redis.sock")})
	defer func() { _ = rdb.Close() }()
	for name, want := range map[string]string{
		"port": "0", "appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction",
		"hash-max-listpack-value": "4096", "save": "", "dir": dir,
	} {
		if got := rdb.ConfigGet(t.Context(), name).Val()[name]; got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestEmbeddedTemporaryIsRemoved(t *testing.T) {
	tmp := shortDir(t)
	t.Setenv("TMPDIR", tmp)
	p := launch(t, embeddedArgs(""))
	api, _ := p.ready(t)
	create(t, api, "u1")
	if n := entries(t, tmp); n != 1 {
		t.Errorf("%d entries while it runs", n)
	}
	p.stop()
	if n := entries(t, tmp); n != 0 {
		t.Errorf("%d entries left behind", n)
	}
}

func entries(t *testing.T, dir string) int {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestEmbeddedLongPath(t *testing.T) {
	tmp := shortDir(t)
	t.Setenv("TMPDIR", tmp)
	dir := filepath.Join(shortDir(t), strings.Repeat("long", 20), strings.Repeat("path", 20))
	p := launch(t, embeddedArgs(dir))
	api, _ := p.ready(t)
	id := create(t, api, "u1")
	p.stop()
	if n := entries(t, tmp); n != 0 {
		t.Errorf("%d entries left behind", n)
	}
	p = launch(t, embeddedArgs(dir))
	api, _ = p.ready(t)
	want(t, 200, "GET", api+"/v2/sessions/"+id, "")
}

// serverOf returns the process ID of the server whose socket is in dir.
func serverOf(t *testing.T, dir string) int {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Network: "unix", Addr: filepath.Join(dir, "redis.sock")})
	defer func() { _ = rdb.Close() }()
	info, err := rdb.InfoMap(t.Context(), "server").Result()
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(info["Server"]["process_id"])
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestEmbeddedServerDies(t *testing.T) {
	dir := shortDir(t)
	p := launch(t, embeddedArgs(dir))
	p.ready(t)
	if err := syscall.Kill(serverOf(t, dir), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if code := p.wait(); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	if got := p.logged(t, "stopped after a failure", 1)["error"].(string); !strings.Contains(got, "embedded redis: redis-server ended: signal: killed") {
		t.Errorf("got %s", got)
	}
}

func TestEmbeddedServerHangsAtTheEnd(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	p := launch(t, embeddedArgs(dir))
	p.ready(t)
	pid := serverOf(t, dir)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if code := p.stop(); code != exitOK { // by SIGKILL
		t.Errorf("exit code %d", code)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the server is still there: %v", err)
	}
}

func TestEmbeddedDirectoryHasOneUser(t *testing.T) {
	dir := shortDir(t)
	p := launch(t, embeddedArgs(dir))
	api, _ := p.ready(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // does not wait for the lock
	u, _ := redisconn.ParseURL("embedded:" + dir)
	_, err := redisconn.Connect(ctx, &redisconn.Connection{URL: &u, Env: os.Environ(), Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), dir+" is in use by another cloakroom") {
		t.Errorf("got %v", err)
	}
	create(t, api, "u1") // the first is not disturbed
}

func TestEmbeddedServerThatDoesNotStart(t *testing.T) {
	bin := t.TempDir()
	script := "#!/bin/sh\necho 'Fatal: no such directive'\nexit 3\n"
	if err := os.WriteFile(filepath.Join(bin, "valkey-server"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	p := launchIn(t, embeddedArgs(""), []string{"PATH=" + bin})
	if code := p.wait(); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	if log := p.stderr.String(); !strings.Contains(log, "valkey-server ended: exit status 3; it said: Fatal: no such directive") {
		t.Errorf("got %s", log)
	}
}

func TestNoServerOnPath(t *testing.T) {
	empty := []string{"PATH=" + t.TempDir() + "::relative"}
	p := launchIn(t, embeddedArgs(""), empty)
	if code := p.wait(); code != exitFailed || !strings.Contains(p.stderr.String(), "apt install redis-server") {
		t.Errorf("serve: exit code %d", code)
	}
	// dev gives up its temporary Redis, but not a durable one.
	p = launchIn(t, append([]string{"dev", "--redis-url=embedded:" + t.TempDir()}, quick()...), empty)
	if code := p.wait(); code != exitFailed {
		t.Errorf("dev with a directory: exit code %d", code)
	}
	p = launchIn(t, append([]string{"dev"}, quick()...), empty)
	p.logged(t, "falling back to memory:", 1)
	p.logged(t, "sample sessions stored", 1)
	if line := p.logged(t, "ready", 1); line["redis"] != "memory:" {
		t.Errorf("got %v", line)
	}
}

func TestHealthOfEmbedded(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	p := launch(t, embeddedArgs(dir))
	_, admin := p.ready(t)
	pid := serverOf(t, dir)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	want(t, http.StatusServiceUnavailable, "GET", admin+"/readyz", "")
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, http.StatusOK, admin+"/readyz")
}
