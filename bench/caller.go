package main

import (
	"context"
	"net"
)

// caller asks one question after another on one connection.
type caller struct {
	conn   net.Conn
	config scenarioConfig
	end    func() bool
}

// newCaller connects. The connection is cut off when ctx ends.
func newCaller(ctx context.Context, e endpoint, c scenarioConfig) (*caller, error) {
	conn, err := e.dial(ctx)
	if err != nil {
		return nil, err
	}
	c.host = e.host
	return &caller{conn: conn, config: c, end: context.AfterFunc(ctx, func() { conn.Close() })}, nil
}

func (c *caller) close() {
	c.end()
	_ = c.conn.Close()
}

// call sends a request; body may be empty.
func (c *caller) call(method, path, body string) (*answer, error) {
	if body == "" {
		return exchange(c.conn, []byte(c.config.head(method, path)+"\r\n"))
	}
	return exchange(c.conn, c.config.withBody(method, path, body))
}
