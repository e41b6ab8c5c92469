package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// maxSocketPath is the longest path of a unix socket on every system, in bytes.
const maxSocketPath = 100

// listen opens the listener of a flag: HOST:PORT or unix:PATH. A unix socket
// gets the mode 0660, is removed when the listener is closed, and takes the
// place of one that a crash left behind.
func listen(ctx context.Context, flag, addr string) (net.Listener, error) {
	path, unix := strings.CutPrefix(addr, "unix:")
	if !unix {
		ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("cannot listen on %s: the port is taken; choose another with --%s", addr, flag)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot listen (--%s): %w", flag, err)
		}
		return ln, nil
	}
	if err := removeStale(path); err != nil {
		return nil, fmt.Errorf("cannot listen on %s (--%s): %w", addr, flag, err)
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot listen (--%s): %w", flag, err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot listen on %s (--%s): %w", addr, flag, err), ln.Close())
	}
	return ln, nil
}

// removeStale removes a unix socket on which nobody listens.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return errors.New("the path exists and is not a socket")
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		return errors.Join(errors.New("another process listens there"), conn.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// addressOf spells the address of a listener as its flag does.
func addressOf(ln net.Listener) string {
	if ln.Addr().Network() == "unix" {
		return "unix:" + ln.Addr().String()
	}
	return ln.Addr().String()
}
