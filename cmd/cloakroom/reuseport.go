package main

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
)

// checkReusePort makes sure that two processes can share what they answer from.
func checkReusePort(c *config, wrong *faults) {
	switch {
	case !c.reusePort || !c.good("reuse-port", "redis-url"):
	case runtime.GOOS != "linux":
		wrong.addf("--reuse-port needs Linux")
	case c.redisURL.memory || c.redisURL.embedded:
		wrong.addf("--reuse-port needs a Redis that both processes can reach, not %s", c.redisURL.masked)
	}
}

// replaceUnix listens at path in the place of another process: its socket takes
// the name of the other's in one step. What has connected to that one already is
// answered there. The socket stays when the listener is closed, because its name
// may be another process's by then.
func replaceUnix(ctx context.Context, path string) (net.Listener, error) {
	info, err := os.Lstat(path)
	if err == nil && info.Mode().Type() != os.ModeSocket {
		return nil, errNotASocket
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	next := path + ".new"
	ln, err := listenUnix(ctx, next)
	if err != nil {
		return nil, err
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := os.Rename(next, path); err != nil {
		return nil, errors.Join(err, ln.Close(), os.Remove(next))
	}
	return &renamedListener{ln, path}, nil
}

// renamedListener is a listener whose socket has another name since.
type renamedListener struct {
	net.Listener
	path string
}

// Addr returns the address that clients use.
func (l *renamedListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }
