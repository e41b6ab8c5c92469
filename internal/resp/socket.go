package resp

import (
	"net"
	"syscall"
)

// Socket returns the socket of a connection, by which the client sees whether an idle
// one was closed. Under TLS it is one that there is nothing to see of.
func Socket(conn net.Conn) (syscall.RawConn, error) {
	if raw, ok := conn.(syscall.Conn); ok {
		return raw.SyscallConn()
	}
	return unseen{}, nil
}

// unseen is a socket that cannot be looked at.
type unseen struct{}

func (unseen) Control(func(uintptr)) error    { return nil }
func (unseen) Read(func(uintptr) bool) error  { return nil }
func (unseen) Write(func(uintptr) bool) error { return nil }
