package main

import (
	"context"
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// listenReusePort listens at addr, where another process of the same user may
// listen too. All new connections come to the newest of the two from now on.
//
// The kernel spreads connections over the sockets of a port, and when one closes
// it resets those that wait for its process. So the older process must have none
// when it ends: a filter hands every connection to the second socket, which is
// the newer one. Alone, or as the first of two after the older one has ended, it
// has no second one beside it, and the kernel then takes the only one there is.
func listenReusePort(ctx context.Context, addr string) (net.Listener, error) {
	set := func(c syscall.RawConn, do func(fd int) error) error {
		var failed error
		err := c.Control(func(fd uintptr) { failed = do(int(fd)) })
		return errors.Join(err, failed)
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return set(c, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	}}
	config.SetMultipathTCP(false) // it takes no filter
	ln, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	conn, err := ln.(*net.TCPListener).SyscallConn()
	if err == nil {
		// It returns the number of the socket, which they have in the order in which they began to listen, from 0.
		second := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 1}}
		program := &unix.SockFprog{Len: uint16(len(second)), Filter: &second[0]}
		err = set(conn, func(fd int) error {
			return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, program)
		})
	}
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}
