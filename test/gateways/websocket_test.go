package gateways

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// chat is an application that upgrades to whatever it is asked for, and sends back the frames of a websocket.
type chat struct {
	addr string

	mu   sync.Mutex
	seen []*seen
}

func startChat(t *testing.T) *chat {
	t.Helper()
	c := &chat{}
	c.addr = serve(t, c)
	return c
}

func (c *chat) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.seen = append(c.seen, &seen{target: r.RequestURI, host: r.Host, header: r.Header.Clone()})
	c.mu.Unlock()
	if r.Header.Get("Upgrade") == "" {
		_, _ = io.WriteString(w, "hello\n")
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		r.Header.Get("Upgrade"), accept(r.Header.Get("Sec-WebSocket-Key")))
	for {
		text, err := readFrame(buffered)
		if err != nil {
			return
		}
		_, _ = conn.Write(frame(text, nil))
	}
}

// take returns what was seen since the last call.
func (c *chat) take() []*seen {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.seen
	c.seen = nil
	return s
}

// accept is the answer to a Sec-WebSocket-Key (RFC 6455, 4.2.2).
func accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// frame returns a text frame of fewer than 126 bytes; a client's is masked with four bytes.
func frame(text string, mask []byte) []byte {
	f := []byte{0x81, byte(len(text))}
	if mask != nil {
		f[1] |= 0x80
		f = append(f, mask...)
	}
	for i := range len(text) {
		b := text[i]
		if mask != nil {
			b ^= mask[i%4]
		}
		f = append(f, b)
	}
	return f
}

// readFrame reads what frame returned.
func readFrame(r io.Reader) (string, error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(r, head); err != nil {
		return "", err
	}
	mask := make([]byte, 4*int(head[1]>>7))
	text := make([]byte, head[1]&0x7f)
	if _, err := io.ReadFull(r, mask); err != nil {
		return "", err
	}
	if _, err := io.ReadFull(r, text); err != nil {
		return "", err
	}
	for i := range text {
		if len(mask) > 0 {
			text[i] ^= mask[i%4]
		}
	}
	return string(text), nil
}

// handshake asks for a websocket, or for another protocol.
func handshake(protocol string) request {
	return request{target: "/chat"}.with("Connection: Upgrade", "Upgrade: "+protocol,
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "X-Session-User: "+forged, "X.Session.User: "+forged)
}

// A websocket is asked about once, at its handshake.
func TestWebSocket(t *testing.T) {
	forEach(t, gateways[:3], func(t *testing.T, g gateway) {
		w := newWorld(t, g)
		app := startChat(t)
		w.addr = g.Start(t, w.verify.Addr, app.addr)
		app.take()
		v := w.ours.login(t, "chat")
		_, isHAProxy := g.(haproxy)
		if isHAProxy { // which has time-outs for silence
			w.addr = haproxy{change("haproxy/haproxy.cfg", []string{
				"timeout http-request 10s", "timeout http-request 1s", "timeout client 30s", "timeout client 1s", "timeout server 30s", "timeout server 1s",
			})}.Start(t, w.verify.Addr, app.addr)
			app.take()
		}

		conn, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		r := handshake("websocket").with("Origin: http://" + clientHost).by(v)
		if _, err := io.WriteString(conn, r.wire()); err != nil {
			t.Fatal(err)
		}
		from := bufio.NewReader(conn)
		response, err := http.ReadResponse(from, nil)
		if err != nil {
			t.Fatal(err)
		}
		if key := response.Header.Get("Sec-WebSocket-Accept"); response.StatusCode != http.StatusSwitchingProtocols || key != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
			t.Fatalf("status %d, Sec-WebSocket-Accept %q", response.StatusCode, key)
		}
		if isHAProxy { // a websocket outlives a silence that ends another connection
			if _, err := io.Copy(io.Discard, connect(t, w.addr, "")); err != nil {
				t.Fatal(err)
			}
		}
		for _, text := range []string{"one", "", strings.Repeat("x", 125)} {
			if _, err := conn.Write(frame(text, []byte("mask"))); err != nil {
				t.Fatal(err)
			}
			if back, err := readFrame(from); back != text || err != nil {
				t.Fatalf("sent %q, got %q, %v", text, back, err)
			}
		}
		reached := app.take()
		if len(reached) != 1 {
			t.Fatalf("it reached the application %d times", len(reached))
		}
		if origin := reached[0].header.Get("Origin"); origin != "http://"+reached[0].host { // as applications compare them
			t.Errorf("the application saw the host %s and the origin %s", reached[0].host, origin)
		}
		if got := reached[0].identity()["x-session-user"]; len(got) != 1 || got[0] != "user-chat" {
			t.Errorf("the application saw the user %q", got)
		}

		// Another protocol would be a tunnel past the gateway: the request goes on without the upgrade.
		for _, protocol := range []string{"h2c", "websocket, h2c", "h2c\r\nUpgrade: websocket", "websocket\r\nUpgrade: h2c"} {
			response, _ := send(t, w.addr, handshake(protocol).with("HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA").by(v))
			reached := app.take()
			if len(reached) != 1 {
				t.Errorf("%q: status %d, it reached the application %d times", protocol, response.StatusCode, len(reached))
				continue
			}
			twoLines := strings.Contains(protocol, "\r\n")
			switch upgrade := strings.Join(reached[0].header["Upgrade"], ", "); {
			case response.StatusCode == http.StatusOK && upgrade == "":
			case response.StatusCode == http.StatusSwitchingProtocols && upgrade == "websocket" && twoLines: // it has taken one of them
			default:
				t.Errorf("%q: status %d, the application saw the upgrade %q", protocol, response.StatusCode, upgrade)
			}
		}

		// Only a GET opens a websocket: by another method, as a preflight, it would be a tunnel as well.
		for _, method := range []string{http.MethodOptions, http.MethodPost, http.MethodHead, http.MethodPut} {
			r := handshake("websocket").by(v)
			r.method = method
			response, _ := send(t, w.addr, r)
			if reached := app.take(); response.StatusCode != http.StatusOK || len(reached) != 1 || reached[0].header["Upgrade"] != nil {
				t.Errorf("%s: status %d, it reached the application %d times", method, response.StatusCode, len(reached))
			}
		}

		w.ours.logout(t, v)
		for _, r := range []request{handshake("websocket").by(v), handshake("websocket")} {
			response, _ := send(t, w.addr, r)
			if reached := app.take(); response.StatusCode != http.StatusUnauthorized || len(reached) != 0 {
				t.Errorf("status %d, it reached the application %d times", response.StatusCode, len(reached))
			}
		}
	})
}
