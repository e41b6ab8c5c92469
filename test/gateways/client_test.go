package gateways

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// clientHost is the host that all clients ask for, with a port, which an application compares with the browser's Origin.
const clientHost = "app.example:8000"

// request is what a client sends, byte for byte: no library that mends it stands between.
type request struct {
	method, target string   // GET and / if empty
	lines          []string // header lines
	host           string   // clientHost if empty
	body           int      // bytes; none if 0
	chunked        bool     // the body's length is not announced
	// seenAs is the target that the application behind a gateway sees, by the gateway's name, where it is another one.
	seenAs map[string]string
}

// by returns r with the token of v as its cookie.
func (r request) by(v *visitor) request {
	return r.with("Cookie: theme=dark; session_token=" + v.token)
}

// bearer returns r with the token of v as a bearer token.
func (r request) bearer(v *visitor) request { return r.with("Authorization: Bearer " + v.token) }

// with returns r with more header lines.
func (r request) with(lines ...string) request {
	r.lines = append(slices.Clip(r.lines), lines...)
	return r
}

// wire returns the request without its body.
func (r *request) wire() string {
	if r.method == "" {
		r.method = http.MethodGet
	}
	if r.target == "" {
		r.target = "/"
	}
	if r.host == "" {
		r.host = clientHost
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.method, r.target, r.host)
	for _, line := range r.lines {
		b.WriteString(line + "\r\n")
	}
	switch {
	case r.chunked:
		b.WriteString("Transfer-Encoding: chunked\r\n")
	case r.body > 0:
		fmt.Fprintf(&b, "Content-Length: %d\r\n", r.body)
	}
	b.WriteString("\r\n")
	return b.String()
}

// patience is how long a client of these tests waits for anything.
const patience = 20 * time.Second

// send sends r over a new connection and returns the answer, whose body has been read, and the body.
func send(t *testing.T, addr string, r request) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, r.wire()); err != nil {
		t.Fatal(err)
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		// A gateway may refuse without reading the body, and close: that is no fault.
		r.writeBody(conn)
	}()
	defer func() {
		conn.Close()
		<-written // I7
	}()
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: r.method})
	if err != nil {
		t.Fatalf("%s %s: %v", r.method, r.target, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", r.method, r.target, err)
	}
	return response, string(body)
}

func (r *request) writeBody(w io.Writer) {
	const piece = 32 << 10
	zeros := strings.Repeat("0", piece)
	for left := r.body; left > 0; left -= piece {
		b := zeros[:min(piece, left)]
		if r.chunked {
			b = fmt.Sprintf("%x\r\n%s\r\n", len(b), b)
		}
		if _, err := io.WriteString(w, b); err != nil {
			return
		}
	}
	if r.chunked {
		_, _ = io.WriteString(w, "0\r\n\r\n")
	}
}
