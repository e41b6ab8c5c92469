//go:build !linux

package main

import (
	"os"
	"testing"
)

// unprivileged takes away the right to open a socket until allow gives it back. The test does not run as root here.
func unprivileged(t *testing.T, socket string) (allow func()) {
	t.Helper()
	chmod := func(mode os.FileMode) {
		if err := os.Chmod(socket, mode); err != nil {
			t.Fatal(err)
		}
	}
	chmod(0)
	return func() { chmod(0o777) }
}
