package server

import (
	"io"
	"net"
	"testing"

	"github.com/valyala/fasthttp"
)

// A connection that is accepted while the server drains is at its end once what has
// come is read. (I7)
func TestI7_DrainEndsLaterConnections(t *testing.T) {
	open := newConnections()
	open.drain()
	client, server := tcpPair(t)
	_, _ = io.WriteString(client, "sent before")
	if _, err := io.ReadFull(server, make([]byte, 1)); err != nil { // it has come
		t.Fatal(err)
	}
	l := &servedConn{Conn: server}
	open.observe(l, fasthttp.StateNew)
	if rest, err := io.ReadAll(l); string(rest) != "ent before" || err != nil {
		t.Errorf("got %q, %v", rest, err)
	}
}

// tcpPair returns both ends of a connection.
func tcpPair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err = net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if server, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}
