package scenario

import (
	"context"
	"fmt"
	"net"

	"github.com/cloakroom-dev/cloakroom/bench/load"
)

// Caller asks one question after another on one connection. It is not safe for
// concurrent use.
type Caller struct {
	Config Config // its Key may be changed between two calls

	conn net.Conn
	end  func() bool
}

// NewCaller connects to e. The connection is cut off when ctx ends.
func NewCaller(ctx context.Context, e load.Endpoint, c Config) (*Caller, error) {
	conn, err := e.Dial(ctx)
	if err != nil {
		return nil, err
	}
	c.Host = e.Host
	return &Caller{conn: conn, Config: c, end: context.AfterFunc(ctx, func() { conn.Close() })}, nil
}

// Close closes the connection.
func (c *Caller) Close() {
	c.end()
	_ = c.conn.Close()
}

// PostForm sends a form, whose fields are escaped, and waits for its answer, whatever its status.
func (c *Caller) PostForm(path, form string) (*load.Answer, error) {
	return load.Exchange(c.conn, fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", path, c.Config.Host, len(form), form))
}

// Call sends a request, and waits for its answer, whatever its status; body may be
// empty.
func (c *Caller) Call(method, path, body string) (*load.Answer, error) {
	if body == "" {
		return load.Exchange(c.conn, []byte(c.Config.head(method, path)+"\r\n"))
	}
	return load.Exchange(c.conn, c.Config.withBody(method, path, body))
}
