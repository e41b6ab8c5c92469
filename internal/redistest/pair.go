package redistest

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// pair is one client's connection through a Proxy, and the server's beside it.
type pair struct {
	client, server *net.TCPConn
	lost           atomic.Bool // replies no longer reach the client
	tracking       atomic.Bool // it asks for invalidations
	pieces         int         // that the client has sent, up to greeting; pumpRequests' own
	once           sync.Once
	ended          chan struct{} // closed when both connections are
}

func newPair(client, server *net.TCPConn) *pair {
	return &pair{client: client, server: server, ended: make(chan struct{})}
}

// close ends both connections in order: what has been written still arrives.
func (l *pair) close() {
	l.once.Do(func() {
		close(l.ended)
		l.client.Close()
		l.server.Close()
	})
}

// reset ends both connections at once: what has not arrived is lost.
func (l *pair) reset() {
	l.once.Do(func() {
		close(l.ended)
		for _, conn := range []*net.TCPConn{l.client, l.server} {
			_ = conn.SetLinger(0)
			conn.Close()
		}
	})
}

// wait waits for d, and reports whether the pair still lives.
func (l *pair) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.ended:
		return false
	}
}
