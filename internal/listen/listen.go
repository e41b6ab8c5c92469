// Package listen opens the listeners of the program, or takes those of a service manager.
package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// MaxSocketPath is the longest path of a unix socket on every system, in bytes.
const MaxSocketPath = 100

// Addresses say where a process listens, each as HOST:PORT or unix:PATH. They are
// not changed while listeners are opened.
type Addresses struct {
	HTTP, Admin string
	// Verify and GRPC are "" where there is no such listener.
	Verify, GRPC string
	// ReusePort lets another process listen where requests are taken.
	ReusePort bool
	// Inherited are the listeners that the service manager has opened, by setting.
	Inherited map[string]net.Listener
	// Movable are the settings of listeners that take the next free port where theirs is taken.
	Movable []string
}

// OpenAdmin opens the admin listener, unless the service manager has.
func (a *Addresses) OpenAdmin(ctx context.Context) (net.Listener, error) {
	return a.open(ctx, "admin-addr", a.Admin)
}

// open opens the listener of a setting, unless the service manager has.
func (a *Addresses) open(ctx context.Context, setting, addr string) (net.Listener, error) {
	if ln := a.Inherited[setting]; ln != nil {
		return ln, nil
	}
	path, unix := strings.CutPrefix(addr, "unix:")
	var ln net.Listener
	var err error
	switch {
	case unix:
		ln, err = listenUnix(ctx, path)
	case slices.Contains(a.Movable, setting):
		ln, err = listenNext(ctx, addr, a.HTTP, a.Verify, a.GRPC, a.Admin)
	default:
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

// Address is where a listener is, by its setting.
type Address struct{ Setting, Addr string }

// Shared are the addresses at which requests are taken, which two processes may share
// with --reuse-port.
func (a *Addresses) Shared() (all []Address) {
	for _, l := range []Address{{"http-addr", a.HTTP}, {"verify-addr", a.Verify}, {"grpc-addr", a.GRPC}} {
		if l.Addr != "" {
			all = append(all, l)
		}
	}
	return all
}

// ForRequests are the listeners at which requests are taken; Verify and GRPC are nil where
// there are none.
type ForRequests struct{ HTTP, Verify, GRPC net.Listener }

// OpenForRequests opens the listeners of requests. With --reuse-port another process may
// listen there, and does until it ends, but gets no new connection. If one cannot be opened,
// none has taken a connection from another process: all are bound before one is listened on.
func (a *Addresses) OpenForRequests(ctx context.Context) (opened ForRequests, err error) {
	shared := map[string]*os.File{}
	if a.ReusePort {
		for _, l := range a.Shared() {
			if a.Inherited[l.Setting] != nil {
				continue
			}
			f, err := bindReusePort(l.Addr)
			if err != nil {
				return ForRequests{}, listenFault(l.Setting, l.Addr, err)
			}
			defer f.Close() // the listener has its own
			shared[l.Setting] = f
		}
	}
	to := map[string]*net.Listener{"http-addr": &opened.HTTP, "verify-addr": &opened.Verify, "grpc-addr": &opened.GRPC}
	for _, l := range a.Shared() {
		ln, err := a.openShared(ctx, l, shared[l.Setting])
		if err != nil {
			for _, open := range to {
				if *open != nil {
					err = errors.Join(err, (*open).Close())
				}
			}
			return ForRequests{}, err
		}
		*to[l.Setting] = ln
	}
	return opened, nil
}

// openShared listens at l, by f if that has it already.
func (a *Addresses) openShared(ctx context.Context, l Address, f *os.File) (net.Listener, error) {
	if f == nil {
		return a.open(ctx, l.Setting, l.Addr)
	}
	ln, err := listenReusePort(f)
	if err != nil {
		return nil, listenFault(l.Setting, l.Addr, err)
	}
	return ln, nil
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

// AddressOf spells the address of a listener as its flag does.
func AddressOf(ln net.Listener) string {
	if ln.Addr().Network() == "unix" {
		return "unix:" + ln.Addr().String()
	}
	return ln.Addr().String()
}

// Loopback says whether only this machine can reach addr.
func Loopback(addr string) bool {
	if strings.HasPrefix(addr, "unix:") {
		return true
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// ValidPort says whether port is a number from least to 65535, without signs
// and leading zeros.
func ValidPort(port string, least uint64) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n >= least && strconv.FormatUint(n, 10) == port
}

// ValidAddress says whether text is HOST:PORT, :PORT or unix:PATH.
func ValidAddress(text string) bool {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		return path != "" && len(path) <= MaxSocketPath && !strings.ContainsRune(path, 0)
	}
	_, port, err := net.SplitHostPort(text)
	return err == nil && ValidPort(port, 0)
}
