package server

import (
	"crypto/tls"
	"io"
	"net"
)

// TLSListener is a listener whose connections speak TLS. Serve takes it where it
// takes any listener. A handshake may take
// as long as reading a request: a client that does not end it in time is cut off.
type TLSListener struct {
	net.Listener
	// Config has the certificates. It is not changed.
	Config *tls.Config
	// Failed is told of each handshake that fails; nil tells nobody.
	Failed func()
}

// secureConn is a servedConn with TLS above it.
type secureConn struct {
	*tls.Conn
	below  *servedConn
	failed func()
	// broken says that the handshake has failed. Only the connection's own
	// goroutine uses it.
	broken bool
}

func (l *TLSListener) secure(c *servedConn) *secureConn {
	c.secure = true
	return &secureConn{Conn: tls.Server(c, l.Config), below: c, failed: l.Failed}
}

// Handshake is called by the HTTP server before it reads, with deadlines set.
func (c *secureConn) Handshake() error {
	err := c.Conn.Handshake()
	if err != nil {
		c.broken = true
		if c.failed != nil {
			c.failed()
		}
	}
	return err
}

// Read reads what the client has sent. After a failed handshake that is nothing:
// an error would be answered, and counted as a request.
func (c *secureConn) Read(p []byte) (int, error) {
	if c.broken {
		return 0, io.EOF
	}
	return c.below.head.read(p, c.Conn.Read)
}

func (c *secureConn) conn() *servedConn { return c.below }
