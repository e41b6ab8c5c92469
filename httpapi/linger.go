package httpapi

import (
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// lingerTime bounds how long a connection whose client still sends is kept
// after its last answer.
const lingerTime = 2 * time.Second

// lingeringListener makes its connections lingeringConns.
type lingeringListener struct{ net.Listener }

func (l lingeringListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &lingeringConn{Conn: conn}, nil
}

// lingeringConn is a connection that can be closed while its client still
// sends, without losing the answer. Closed at once, the kernel would answer the
// client's data with a reset, and the client would throw away what it has not
// read yet (RFC 9112, 9.6).
type lingeringConn struct {
	net.Conn
	unread atomic.Bool
	// begun says that something has been read.
	begun atomic.Bool
}

func (c *lingeringConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.begun.Load() {
		c.begun.Store(true)
	}
	return n, err
}

// endIfSilent makes the connection seem at its end, if nothing has been read
// yet. What has come already is still read and answered.
func (c *lingeringConn) endIfSilent() {
	if c.begun.Load() {
		return
	}
	if half, ok := c.Conn.(interface{ CloseRead() error }); !ok || half.CloseRead() != nil {
		_ = c.Conn.Close()
	}
}

// Close closes the connection. If the client may still be sending, it first
// says that no more answers come, and reads what arrives until the client
// closes its side, for a short time.
func (c *lingeringConn) Close() error {
	if c.unread.CompareAndSwap(true, false) {
		half, ok := c.Conn.(interface{ CloseWrite() error })
		if ok && half.CloseWrite() == nil && c.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
			_, _ = io.Copy(io.Discard, c.Conn)
		}
	}
	return c.Conn.Close()
}

// closeUnread ends the connection after the answer under way, of a request
// that was not read to its end: the rest would be read as the next request.
func closeUnread(http *fasthttp.RequestCtx) {
	http.Response.SetConnectionClose()
	if c, ok := http.Conn().(*lingeringConn); ok {
		c.unread.Store(true)
	}
}
