package httpapi

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/cloakroom-dev/cloakroom/httpapi/protocol"
)

// provoking is a request that is written as it is, so that it may be wrong in any way.
type provoking struct {
	op                 *contractOperation
	method, path, host string
	headers            []string // lines
	body               string
	// length is what Content-Length says; 0: what is right.
	length int
	// halt leaves the headers unfinished.
	halt bool
}

// provoke sends a request for op to addr, as changed, and notes the answer.
func (p *produced) provoke(addr, secret string, op *contractOperation, change func(*provoking)) int {
	p.t.Helper()
	q := &provoking{op: op, method: op.method, host: "localhost", path: strings.NewReplacer("{id}", "s1", "{policy}", "lax").Replace(op.path)}
	if secret != "" {
		q.headers = []string{"Authorization: Bearer " + secret}
	}
	switch {
	case op.bodyType == "" || op.id == "ImportSessions" || op.method == "DELETE":
	case op.id == "BackchannelLogout":
		q.body = "logout_token=x"
	case op.id == "RevokeSessions":
		q.body = `{"all":true,"dryRun":true}`
	case strings.Contains(op.path, protocol.ConnectPrefix):
		q.body = `{"sessionId":"s1"}`
	default:
		q.body = `{}`
	}
	if op.bodyType != "" {
		q.headers = append(q.headers, "Content-Type: "+op.bodyType)
	}
	change(q)
	e, err := q.send(addr)
	if err != nil {
		p.t.Errorf("%s: %v", op.id, err)
		return 0
	}
	_, faults := theContract().check(e)
	for _, fault := range faults {
		p.t.Errorf("%s %s: openapi.json: %s", q.method, q.path, fault)
	}
	p.saw(op, e)
	return e.status
}

// send sends q and reads the answer.
func (q *provoking) send(addr string) (*exchanged, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", q.method, q.path, q.host)
	for _, h := range q.headers {
		b.WriteString(h + "\r\n")
	}
	length := max(q.length, len(q.body))
	if length > 0 {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", length)
	}
	if !q.halt {
		b.WriteString("\r\n" + q.body)
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = io.WriteString(conn, b.String()) // the server may answer before it has read all
	}()
	defer func() { conn.Close(); <-written }()
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: q.method})
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil && len(text) == 0 {
		return nil, err
	}
	return &exchanged{q.method, q.path, "", reply{res.StatusCode, res.Header, string(text), true}}, nil
}
