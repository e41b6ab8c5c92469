package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// maxSocketPath is the longest path of a unix socket on every system, in bytes.
const maxSocketPath = 100

// listen opens the listener of a setting, HOST:PORT or unix:PATH, unless the
// service manager has.
func (c *config) listen(ctx context.Context, setting, addr string) (net.Listener, error) {
	if ln := c.inherited[setting]; ln != nil {
		return ln, nil
	}
	path, unix := strings.CutPrefix(addr, "unix:")
	var ln net.Listener
	var err error
	if unix {
		ln, err = listenUnix(ctx, path)
	} else {
		ln, err = (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	}
	if err != nil {
		return nil, listenFault(setting, addr, err)
	}
	return ln, nil
}

func listenFault(setting, addr string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("cannot listen on %s: the port is taken; choose another with --%s", addr, setting)
	}
	return fmt.Errorf("cannot listen on %s (--%s): %w", addr, setting, err)
}

// listenForRequests opens the listeners of the API and of verify, which is nil if
// there is none. With --reuse-port another process may listen there, and does until
// it ends, but gets no new connection. If one cannot be opened, none has taken a
// connection from another process: all are bound before one is listened on.
func (c *config) listenForRequests(ctx context.Context) (api, verify net.Listener, err error) {
	shared := map[string]*os.File{}
	if c.reusePort {
		for _, l := range []struct{ setting, addr string }{{"http-addr", c.httpAddr}, {"verify-addr", c.verifyAddr}} {
			if l.addr == "" || c.inherited[l.setting] != nil {
				continue
			}
			f, err := bindReusePort(l.addr)
			if err != nil {
				return nil, nil, listenFault(l.setting, l.addr, err)
			}
			defer f.Close() // the listener has its own
			shared[l.setting] = f
		}
	}
	listen := func(setting, addr string) (net.Listener, error) {
		f := shared[setting]
		if f == nil {
			return c.listen(ctx, setting, addr)
		}
		ln, err := listenReusePort(f)
		if err != nil {
			return nil, listenFault(setting, addr, err)
		}
		return ln, nil
	}
	if api, err = listen("http-addr", c.httpAddr); err != nil || c.verifyAddr == "" {
		return api, nil, err
	}
	if verify, err = listen("verify-addr", c.verifyAddr); err != nil {
		return nil, nil, errors.Join(err, api.Close())
	}
	return api, verify, nil
}

// listenUnix listens on a unix socket, which gets the mode 0660, is removed when
// the listener is closed, and takes the place of one that a crash left behind.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	if err := removeStale(path); err != nil {
		return nil, err
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	socket, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	return &unixListener{Listener: ln, path: path, socket: socket}, nil
}

// unixListener removes its socket when it is closed, but not the socket of
// another process that has its name by then.
type unixListener struct {
	net.Listener
	path   string
	socket os.FileInfo
	remove sync.Once
}

// Close removes the socket first: the inode is ours for as long as it is open.
func (l *unixListener) Close() error {
	var err error
	l.remove.Do(func() {
		if now, failed := os.Lstat(l.path); failed == nil && os.SameFile(now, l.socket) {
			err = os.Remove(l.path)
		}
	})
	return errors.Join(err, l.Listener.Close())
}

var errNotASocket = errors.New("the path exists and is not a socket")

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
		return errNotASocket
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
