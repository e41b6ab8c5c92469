package redisconn

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Nor does a FIFO hold a connection to Redis up, whose files are read at each.
func TestRedisFilesThatAreFIFOs(t *testing.T) {
	t.Parallel()
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	_, password := ReadPassword(fifo, nil)
	_, ca := (&TLSFiles{CA: fifo}).load()
	_, cert := (&TLSFiles{Cert: fifo, Key: fifo}).load()
	for _, err := range []error{password, ca, cert} {
		if err == nil || !strings.Contains(err.Error(), fifo+": is no regular file, and it is read more than once") {
			t.Errorf("got %v", err)
		}
	}
}
