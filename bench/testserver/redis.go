package testserver

import (
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// Redis starts a Redis server, and returns its URL. It ends with the test.
func Redis(t testing.TB) string {
	t.Helper()
	name, err := exec.LookPath("redis-server")
	if err != nil {
		if name, err = exec.LookPath("valkey-server"); err != nil {
			t.Fatal("neither redis-server nor valkey-server is on PATH; .ci/install-redis installs one")
		}
	}
	dir := tempDir(t)
	socket := filepath.Join(dir, "s")
	cmd := exec.Command(name, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", dir)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	start(t, cmd, stdout, "eady to accept connections", syscall.SIGTERM)
	return "unix://" + socket
}
