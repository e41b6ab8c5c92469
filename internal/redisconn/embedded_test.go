package redisconn

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestOwnDirRefusesWhatOthersPrepared(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	if err := ownDir(link); err == nil || !strings.Contains(err.Error(), "must be a directory") {
		t.Errorf("a link: got %v", err)
	}
	foreign := "/" // of root
	if os.Geteuid() == 0 {
		foreign = filepath.Join(dir, "foreign")
		if err := errors.Join(os.Mkdir(foreign, 0o755), os.Chown(foreign, 1, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := ownDir(foreign); err == nil || !strings.Contains(err.Error(), "belongs to another user") {
		t.Errorf("another user's: got %v", err)
	}
	if err := ownDir(filepath.Join(dir, "missing", "parent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no parent: got %v", err)
	}
}

func TestStartPrivateLeavesOurUmask(t *testing.T) {
	before := syscall.Umask(0o022)
	defer syscall.Umask(before)
	cmd := exec.Command("/bin/sh", "-c", "umask")
	out := new(bytes.Buffer)
	cmd.Stdout = out
	if err := errors.Join(startPrivate(cmd), cmd.Wait()); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(out.String()); got != "0077" {
		t.Errorf("the umask of the child is %s", got)
	}
	if ours := syscall.Umask(0o022); ours != 0o022 {
		t.Errorf("our umask is %#o", ours)
	}
}

func TestServerLog(t *testing.T) {
	out := new(bytes.Buffer)
	s := &serverLog{log: slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	write := func(text string) {
		if _, err := io.WriteString(s, text); err != nil {
			t.Fatal(err)
		}
	}
	write("star")
	write("ting\n\nmore\n")
	s.warn(true)
	write(strings.Repeat("x", 3*maxLine) + "\n")
	for i := range 10 {
		write(strconv.Itoa(i) + "\n")
	}
	got := out.String()
	for _, want := range []string{"level=DEBUG msg=\"embedded redis says\" line=starting\n", "level=DEBUG msg=\"embedded redis says\" line=more\n", "level=WARN"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in the log", want)
		}
	}
	if s.tail() != "; it said: 5 / 6 / 7 / 8 / 9" {
		t.Errorf("got %q", s.tail())
	}
}

func TestRedisOptions(t *testing.T) {
	u, ok := ParseURL("rediss://user:pass@host:1/3?read_timeout=3s&pool_size=7")
	if !ok {
		t.Fatal("refused")
	}
	o := u.Options
	if o.Addr != "host:1" || o.DB != 3 || o.TLSConfig == nil || o.Username != "user" || o.Password != "pass" {
		t.Errorf("got %+v", o)
	}
	if o.MaxRetries != -1 || !o.ContextTimeoutEnabled || o.Protocol != 3 || o.ReadTimeout != 3*time.Second || o.WriteTimeout != time.Second ||
		o.PoolSize != 7 || o.MaxActiveConns != 7 {
		t.Errorf("got %+v", o)
	}
	if u.Masked != "rediss://user:xxxxx@host:1/3?read_timeout=3s&pool_size=7" {
		t.Errorf("got %s", u.Masked)
	}
	u, ok = ParseURL("unix:///run/redis.sock?db=2")
	if !ok || u.Options.Network != "unix" || u.Options.Addr != "/run/redis.sock" || u.Options.DB != 2 {
		t.Errorf("got %+v", u.Options)
	}
}

func TestEmbeddedLeftoverServer(t *testing.T) {
	dir := t.TempDir()
	lock, err := lockDir(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	// A child that has inherited the lock, as the server of a crashed run.
	leftover := exec.Command("/bin/sh", "-c", "read line")
	leftover.ExtraFiles = []*os.File{lock}
	stdin, err := leftover.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(leftover.Start(), lock.Close()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lockDir(ctx, dir); err == nil || !strings.Contains(err.Error(), "or by the redis-server that one left behind") {
		t.Errorf("got %v", err)
	}
	if err := errors.Join(stdin.Close()); err != nil {
		t.Fatal(err)
	}
	again, err := lockDir(t.Context(), dir) // waits for it
	if err != nil {
		t.Fatal(err)
	}
	_ = leftover.Wait()
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}
