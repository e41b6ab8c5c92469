package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// listenReusePort listens at addr, where another process of the same user may
// listen too. All new connections come to the second from now on; a third is
// refused, because it would get none.
//
// The kernel spreads connections over the sockets of a port, and when one closes
// it resets those that wait for its process. So the older process must have none
// when it ends: a filter hands every connection to the second socket, which is
// the newer one. Alone, or as the first of two after the older one has ended, it
// has no second one beside it, and the kernel then takes the only one there is.
func listenReusePort(ctx context.Context, addr string) (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error { return withSocket(c, reusePort) }}
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
		err = withSocket(conn, func(fd int) error {
			if n := listenersBeside(fd); n > 1 {
				return fmt.Errorf("%d processes with --reuse-port listen there already; stop the older one first", n)
			}
			return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, program)
		})
	}
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}

// tryReusePort says whether listenReusePort would find the address free. It binds
// and does not listen, so it takes no connection.
func tryReusePort(ctx context.Context, addr string) error {
	tried := errors.New("it is free")
	config := net.ListenConfig{Control: func(network, address string, c syscall.RawConn) error {
		to, err := net.ResolveTCPAddr(network, address)
		if err != nil || to.Zone != "" {
			return errors.Join(tried, err) // a link-local address is not tried
		}
		var sa unix.Sockaddr
		if network == "tcp4" {
			four := &unix.SockaddrInet4{Port: to.Port}
			copy(four.Addr[:], to.IP.To4())
			sa = four
		} else {
			six := &unix.SockaddrInet6{Port: to.Port}
			if !to.IP.IsUnspecified() {
				copy(six.Addr[:], to.IP.To16())
			}
			sa = six
		}
		return withSocket(c, func(fd int) error {
			if err := reusePort(fd); err != nil {
				return err
			}
			if err := unix.Bind(fd, sa); err != nil {
				return err
			}
			return tried
		})
	}}
	config.SetMultipathTCP(false)
	if _, err := config.Listen(ctx, "tcp", addr); !errors.Is(err, tried) {
		return err
	}
	return nil
}

func reusePort(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }

func withSocket(c syscall.RawConn, do func(fd int) error) error {
	var failed error
	err := c.Control(func(fd uintptr) { failed = do(int(fd)) })
	return errors.Join(err, failed)
}

// listenersBeside counts the other sockets that listen where fd does, as far as
// the kernel shows them.
func listenersBeside(fd int) int {
	var of unix.Stat_t
	if unix.Fstat(fd, &of) != nil {
		return 0
	}
	const address, state, inode, listens = 1, 3, 9, "0A"
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		ours, at := "", map[string]int{}
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) <= inode || f[state] != listens {
				continue
			}
			at[f[address]]++
			if f[inode] == fmt.Sprint(of.Ino) {
				ours = f[address]
			}
		}
		if ours != "" {
			return at[ours] - 1
		}
	}
	return 0
}
