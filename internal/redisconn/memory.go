package redisconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/cloakroom-dev/cloakroom/internal/lookalike"
	"github.com/redis/go-redis/v9"
)

// MemorySessions is how many sessions fit into memory: with more, the
// in-process server is slow.
const MemorySessions = 10_000

// memory is a Redis look-alike in this process, for trying out.
type memory struct {
	server *miniredis.Miniredis

	mu     sync.Mutex
	closed bool
}

// newMemory makes one. Run makes its time pass and closes it.
func newMemory() (*memory, error) {
	m := &memory{server: miniredis.NewMiniRedis()}
	// The first Dial starts a server without a port.
	conn, err := m.server.Dial()
	if err != nil {
		return nil, err
	}
	lookalike.AdaptScripts(m.server)
	return m, conn.Close()
}

// options reach the server. Connections are socket pairs, which nobody else
// can open; net.Pipe would block a pipeline whose replies are not read yet.
func (m *memory) options() *redis.Options {
	return clientOptions(&redis.Options{
		Addr:   "memory",
		Dialer: func(context.Context, string, string) (net.Conn, error) { return m.dial() },
	})
}

// dial connects. The client dials in the background, now and then after it
// was closed, so the server may be gone by then.
func (m *memory) dial() (net.Conn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, net.ErrClosed
	}
	fds, err := socketPair()
	if err != nil {
		return nil, err
	}
	ours, err1 := fileConn(fds[0])
	theirs, err2 := fileConn(fds[1])
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("connecting to the in-process store: %w", err)
	}
	m.server.Server().ServeConn(theirs)
	return ours, nil
}

func (m *memory) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.server.Close()
}

// socketPair returns two connected sockets that no child process inherits.
func socketPair() ([2]int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return fds, err
	}
	syscall.CloseOnExec(fds[0])
	syscall.CloseOnExec(fds[1])
	return fds, nil
}

// fileConn takes over fd.
func fileConn(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "memory")
	conn, err := net.FileConn(f) // duplicates fd
	return conn, errors.Join(err, f.Close())
}

// Run makes the time of TTLs pass, once a second, until ctx ends; then it
// closes the server.
func (m *memory) Run(ctx context.Context) error {
	defer m.close()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			now := time.Now()
			m.server.FastForward(now.Sub(last))
			last = now
		}
	}
}
