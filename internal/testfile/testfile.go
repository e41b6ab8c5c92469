// Package testfile makes files for tests: of settings, and of sockets that outlive the processes which listen on them.
package testfile

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// OneKey is a keys file with one entry, whose key nobody has.
const OneKey = "keys:\n- name: a\n  userId: u\n  permissions: []\n" +
	"  sha256: 0000000000000000000000000000000000000000000000000000000000000000\n"

// Write returns the path of a new file that has a text.
func Write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cloakroom.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Pipe returns the path of a pipe that has a text and no writer any more, as a shell's <(…) does. The text must fit
// into the pipe's buffer.
func Pipe(t *testing.T, text string) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	if _, err := w.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("/dev/fd/%d", r.Fd())
}
