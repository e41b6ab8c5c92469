package main

import (
	"net"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"

	"golang.org/x/sys/unix"
)

// droppedPackets returns an address whose packets are dropped, as by a firewall,
// until open: its listener accepts nobody, and its queue is full.
func droppedPackets(t *testing.T) (addr string, open func()) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	unix.CloseOnExec(fd)
	err = unix.EADDRINUSE // other tests may take an address that was free
	for try := 0; err == unix.EADDRINUSE && try < 20; try++ {
		addr = redistest.FreeAddr(t) // the server is to have it later
		at, bad := net.ResolveTCPAddr("tcp", addr)
		if bad != nil {
			t.Fatal(bad)
		}
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: at.Port})
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	waiting, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	opened := false
	open = func() {
		if !opened {
			opened = true
			waiting.Close()
			_ = unix.Shutdown(fd, unix.SHUT_RDWR) // a process that is being forked may have a copy
			unix.Close(fd)
		}
	}
	t.Cleanup(open)
	return addr, open
}

// forbiddenSocket is the state of a unix socket that this user may not open.
func forbiddenSocket(t *testing.T) ([]string, follow) {
	s := soundServer(t)
	allow := unprivileged(t, s.Socket)
	return to("unix://" + s.Socket), func(*testing.T, string) []string {
		allow()
		return nil
	}
}
