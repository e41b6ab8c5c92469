package main

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// unprivileged forbids who runs the test to open a socket, until allow. Root may
// open all, so its thread goes on as another user, and ends with the test.
func unprivileged(t *testing.T, socket string) (allow func()) {
	t.Helper()
	for path, mode := range map[string]os.FileMode{socket: 0, filepath.Dir(socket): 0o755} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	be := func(user int) {
		if os.Getuid() != 0 {
			return
		}
		runtime.LockOSThread()
		if err := syscall.Setfsuid(user); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { be(0) })
	be(65534)
	return func() {
		be(0)
		if err := os.Chmod(socket, 0o777); err != nil {
			t.Fatal(err)
		}
		be(65534)
	}
}
