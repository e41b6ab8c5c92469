package listen

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"syscall"
)

// portsTried is how many ports above a taken one are tried.
const portsTried = 100

// listenNext listens on addr, HOST:PORT. If the port is taken, it takes the next
// one that is free and not among reserved.
func listenNext(ctx context.Context, addr string, reserved ...string) (net.Listener, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return ln, err
	}
	host, text, _ := net.SplitHostPort(addr)
	port, _ := strconv.Atoi(text)
	for next := port + 1; next <= min(port+portsTried, 65535) && errors.Is(err, syscall.EADDRINUSE); next++ {
		addr = net.JoinHostPort(host, strconv.Itoa(next))
		if !slices.Contains(reserved, addr) {
			ln, err = (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
		}
	}
	return ln, err
}
