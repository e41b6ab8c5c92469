package testfile

import (
	"net"
	"os"
	"testing"
)

// Socket returns a socket that listens until the test ends, for processes to inherit, and its address. network and addr are
// those of net.Listen.
func Socket(t *testing.T, network, addr string) (*os.File, net.Addr) {
	t.Helper()
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	file, err := ln.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return file, ln.Addr()
}
