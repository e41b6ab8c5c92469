package main

import (
	"context"
	"net"

	"github.com/cloakroom-dev/cloakroom/bench/load"
)

// caller asks one question after another on one connection.
type caller struct {
	conn   net.Conn
	config scenarioConfig
	end    func() bool
}

// newCaller connects. The connection is cut off when ctx ends.
func newCaller(ctx context.Context, e load.Endpoint, c scenarioConfig) (*caller, error) {
	conn, err := e.Dial(ctx)
	if err != nil {
		return nil, err
	}
	c.host = e.Host
	return &caller{conn: conn, config: c, end: context.AfterFunc(ctx, func() { conn.Close() })}, nil
}

func (c *caller) close() {
	c.end()
	_ = c.conn.Close()
}

// call sends a request; body may be empty.
func (c *caller) call(method, path, body string) (*load.Answer, error) {
	if body == "" {
		return load.Exchange(c.conn, []byte(c.config.head(method, path)+"\r\n"))
	}
	return load.Exchange(c.conn, c.config.withBody(method, path, body))
}
