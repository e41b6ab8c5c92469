package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/testfile"
)

// newFIFO makes a named pipe without a writer.
func newFIFO(t *testing.T) string {
	t.Helper()
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	return fifo
}

// A start that waits for the writer of a pipe says so, and ends when it is told to, as when nothing has started yet.
func TestStartWaitsForAPipe(t *testing.T) {
	t.Parallel()
	f := func(code int, args ...string) {
		t.Run(args[0]+" "+args[len(args)-1], func(t *testing.T) {
			t.Parallel()
			fifo := newFIFO(t)
			p := launch(t, append(args, fifo))
			p.until(t, p.stderr, "line about the pipe", func(text string) bool {
				return strings.Contains(text, "cloakroom "+args[0]+": waiting for what is written to "+fifo+", which is no regular file\n")
			})
			if got := p.stop(); got != code || strings.Count(p.stderr.String(), fifo) != 1 {
				t.Errorf("exit code %d", got)
			}
		})
	}
	for _, name := range []string{"--auth-keys-file", "--auth-issuers-file", "--config"} {
		f(exitOK, append(append([]string{"serve", "--redis-url=memory:"}, quick()...), name)...)
	}
	f(exitOK, "dev", "--http-tls-key-file=/dev/null", "--http-tls-cert-file")
	f(exitOK, "serve", "--auth-anonymous", "--redis-url=redis+sentinel://127.0.0.1:1/m", "--redis-sentinel-password-file")
	f(exitFailed, "acl", "--password-file")
	f(exitFailed, "sessions", "revoke", "--all", "--yes", "--key-file")
	f(exitFailed, "sessions", "revoke", "--all", "--yes", "--ca-file")
}

// A pipe may be written to late, and in parts.
func TestKeysOfAFIFO(t *testing.T) {
	t.Parallel()
	fifo := newFIFO(t)
	p := launch(t, append([]string{"serve", "--redis-url=memory:", "--auth-keys-file", fifo}, quick()...))
	p.until(t, p.stderr, "line about the pipe", func(text string) bool { return strings.Contains(text, "waiting for what is written") })
	w, err := os.OpenFile(fifo, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(testfile.OneKey) {
		if _, err := w.WriteString(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	p.ready(t)
	if got := p.logged(t, "no regular file: it was read once, and is not followed", 1)["file"]; got != fifo {
		t.Errorf("got %v", got)
	}
}

// A command that makes a key does not wait for one that another writes.
func TestKeyIntoAFIFO(t *testing.T) {
	t.Parallel()
	code, out, log := once(t, "key", "new", "--name=a", "--user-id=u", "--file="+newFIFO(t))
	if code != exitFailed || out != "" || !strings.Contains(log, "is no regular file") {
		t.Errorf("got %d, %q, %q", code, out, log)
	}
}
