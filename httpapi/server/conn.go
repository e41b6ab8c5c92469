package server

import (
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// drainUnread bounds how long a connection whose client still sends is kept
// after its last answer.
const drainUnread = 2 * time.Second

// servedListener makes its connections servedConns, with TLS above them
// if it is a TLSListener.
type servedListener struct {
	net.Listener
	// buffer is the size of the server's read buffer, in bytes.
	buffer int
}

// served is a connection that a servedListener has made.
type served interface{ conn() *servedConn }

func (l servedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &servedConn{Conn: conn, head: requestHead{buffer: l.buffer}}
	if t, ok := l.Listener.(*TLSListener); ok {
		return t.secure(c), nil
	}
	return c, nil
}

// servedConn is a connection that can be closed while its client still
// sends, without losing the answer. Closed at once, the kernel would answer the
// client's data with a reset, and the client would throw away what it has not
// read yet (RFC 9112, 9.6).
type servedConn struct {
	net.Conn
	unread atomic.Bool
	// accepted says that a handler has been given a request, and is not done.
	accepted atomic.Bool
	// ended says that endUnlessAccepted has ended it: a request that seems cut
	// off was cut off by us.
	ended  atomic.Bool
	secure bool
	// head is of what is above TLS, too.
	head requestHead
}

func (c *servedConn) Read(p []byte) (int, error) {
	if c.secure {
		return c.Conn.Read(p)
	}
	return c.head.read(p, c.Conn.Read)
}

func (c *servedConn) conn() *servedConn { return c }

// endUnlessAccepted makes the connection seem at its end, unless a request from
// it has been accepted: half a header must not hold up a restart. What has come
// already is still read and answered.
func (c *servedConn) endUnlessAccepted() {
	if c.accepted.Load() {
		return
	}
	c.ended.Store(true)
	if half, ok := c.Conn.(interface{ CloseRead() error }); !ok || half.CloseRead() != nil {
		_ = c.Conn.Close()
	}
}

// CutOff says whether the server has ended the connection of a request before all
// of it had come.
func CutOff(conn net.Conn) bool {
	c, ok := conn.(served)
	return ok && c.conn().ended.Load()
}

// Close closes the connection. If the client may still be sending, it first
// says that no more answers come, and reads what arrives until the client
// closes its side, for a short time.
func (c *servedConn) Close() error {
	if c.unread.CompareAndSwap(true, false) {
		half, ok := c.Conn.(interface{ CloseWrite() error })
		if ok && half.CloseWrite() == nil && c.SetReadDeadline(time.Now().Add(drainUnread)) == nil {
			_, _ = io.Copy(io.Discard, remainder{c})
		}
	}
	return c.Conn.Close()
}

// remainder reads what still comes on a connection that its server has left.
type remainder struct{ c *servedConn }

func (r remainder) Read(p []byte) (int, error) { return r.c.Conn.Read(p) }

// CloseUnread ends the connection after the answer under way, of a request
// that was not read to its end: the rest would be read as the next request.
func CloseUnread(http *fasthttp.RequestCtx) {
	http.Response.SetConnectionClose()
	if c, ok := http.Conn().(served); ok {
		c.conn().unread.Store(true)
	}
}
