// Package testserver has real servers for the tests of the bench harness: a Redis and a PostgreSQL, each private to one
// test and on a socket of its own. Look here when a test of a peer does not find its server.
package testserver

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// tempDir makes a directory that is removed with the test, with a name that is short enough for sockets.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bench")
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

// start starts a server, and waits until a line of its log has the words. At the end of the test it gets the signal, and is waited for.
func start(t testing.TB, cmd *exec.Cmd, log io.Reader, words string, end syscall.Signal) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	t.Cleanup(func() {
		_ = cmd.Process.Signal(end)
		reading.Wait()
		_ = cmd.Wait() // it may say that it was a signal
	})
	var said strings.Builder
	for lines := bufio.NewScanner(log); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), words) {
			reading.Go(func() { _, _ = io.Copy(io.Discard, log) })
			return
		}
	}
	t.Fatalf("%s did not start:\n%s", cmd.Path, said.String())
}
