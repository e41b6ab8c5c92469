//go:build !linux

package main

import (
	"os"
	"testing"
)

// unprivileged forbids who runs the test, who is not root, to open a socket, until allow.
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
