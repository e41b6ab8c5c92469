package httpapi

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
)

// A request that a proxy before us may take to end elsewhere than we do must
// not have a second one in it: what stands behind its headers is its body, or
// the connection ends. Each of these is sent with a deletion inside; the
// session must live on, and no second answer may come.
func TestSmuggling(t *testing.T) {
	f := newFixture(t, withVerify, withEvents(takeAll))
	f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/victim", `{}`)
	verify := f.verifyListener("tcp", "127.0.0.1:0").String()
	auth := "Authorization: Bearer " + f.secret["admin"] + "\r\n"
	inner := "DELETE /v2/sessions/victim HTTP/1.1\r\nHost: h\r\n" + auth + "\r\n"
	first := "POST /v2/sessions/search HTTP/1.1\r\nHost: h\r\n" + auth
	n := len(inner)
	chunk := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", n, inner)
	for name, request := range map[string]string{
		// The length says that there is a body, the coding that there is none, and the other way round.
		"length, then coding":    first + fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n%s", n+5, inner),
		"coding, then length":    first + fmt.Sprintf("Transfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n0\r\n\r\n%s", n+5, inner),
		"short length, coding":   first + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk,
		"no length, coding":      first + "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n" + inner,
		"coding in capitals":     first + "CONTENT-LENGTH: 0\r\nTRANSFER-ENCODING: CHUNKED\r\n\r\n" + inner,
		"a space before a colon": first + "Content-Length: 0\r\nTransfer-Encoding : chunked\r\n\r\n" + inner,
		"a tab before a colon":   first + "Content-Length: 0\r\nTransfer-Encoding\t: chunked\r\n\r\n" + inner,
		"a space in the length":  first + "Content-Length : 0\r\nTransfer-Encoding: chunked\r\n\r\n" + inner,
		"a tab before a coding":  first + "Content-Length: 0\r\nTransfer-Encoding:\tchunked\r\n\r\n" + inner,
		"a form feed":            first + "Content-Length: 0\r\nTransfer-Encoding:\x0cchunked\r\n\r\n" + inner,
		"a bare line feed":       first + "Content-Length: 0\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n" + inner,
		"a bare return":          first + "Content-Length: 0\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n" + inner,
		"a folded header":        first + "Content-Length: 0\r\nX: y\r\n Transfer-Encoding: chunked\r\n\r\n" + inner,
		"a folded coding":        first + "Content-Length: 0\r\nTransfer-Encoding:\r\n chunked\r\n\r\n" + inner,
		"a folded length":        first + fmt.Sprintf("Content-Length:\r\n %d\r\n\r\n%s", n, inner),
		"a length after a tab":   first + fmt.Sprintf("Content-Length:\r\n\t%d\r\n\r\n%s", n, inner),
		"a folded value":         first + "X: y\r\n z\r\n\r\n" + inner,
		"a NUL":                  first + "Content-Length: 0\r\nTransfer-Encoding: chunked\x00\r\n\r\n" + inner,
		"a misspelt coding":      first + "Transfer-Encoding: xchunked\r\n\r\n" + inner,
		"two codings":            first + "Transfer-Encoding: identity, chunked\r\n\r\n" + inner,
		"two codings, chunked 1": first + "Transfer-Encoding: chunked, identity\r\n\r\n" + inner,
		"codings in two lines":   first + "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n" + inner,
		"an empty coding":        first + "Transfer-Encoding: \r\n\r\n" + inner,
		"a coding in quotes":     first + "Transfer-Encoding: \"chunked\"\r\n\r\n" + inner,

		// A length that can be read in more than one way.
		"two lengths":           first + fmt.Sprintf("Content-Length: 0\r\nContent-Length: %d\r\n\r\n%s", n, inner),
		"two lengths, reversed": first + fmt.Sprintf("Content-Length: %d\r\nContent-Length: 0\r\n\r\n%s", n, inner),
		"a list of lengths":     first + fmt.Sprintf("Content-Length: 0, %d\r\n\r\n%s", n, inner),
		"a plus sign":           first + fmt.Sprintf("Content-Length: +%d\r\n\r\n%s", n, inner),
		"a minus sign":          first + "Content-Length: -1\r\n\r\n" + inner,
		"a negative zero":       first + "Content-Length: -0\r\n\r\n" + inner,
		"hexadecimal":           first + fmt.Sprintf("Content-Length: 0x%x\r\n\r\n%s", n, inner),
		"an exponent":           first + "Content-Length: 1e0\r\n\r\n" + inner,
		"a length that wraps":   first + "Content-Length: 18446744073709551616\r\n\r\n" + inner,
		"an empty length":       first + "Content-Length: \r\n\r\n" + inner,
		"a length with letters": first + "Content-Length: 0a\r\n\r\n" + inner,

		// Chunks whose size can be read in more than one way.
		"a chunk size with 0x":      first + "Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n" + inner,
		"a chunk size with a sign":  first + "Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n" + inner,
		"a negative chunk size":     first + "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n" + inner,
		"an empty chunk size":       first + "Transfer-Encoding: chunked\r\n\r\n\r\n\r\n" + inner,
		"a chunk size that wraps":   first + "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n" + inner,
		"a chunk longer than said":  first + "Transfer-Encoding: chunked\r\n\r\n1\r\n{}" + "\r\n0\r\n\r\n" + inner,
		"chunks with line feeds":    first + "Transfer-Encoding: chunked\r\n\r\n2\n{}\n0\n\n" + inner,
		"a size with a bare return": first + "Transfer-Encoding: chunked\r\n\r\n0\r\r\n" + inner,

		// What older or newer versions of HTTP make of it.
		"chunked in HTTP/1.0":   strings.Replace(first, "HTTP/1.1", "HTTP/1.0", 1) + "Transfer-Encoding: chunked\r\n\r\n" + chunk,
		"HTTP/1.0, both":        strings.Replace(first, "HTTP/1.1", "HTTP/1.0", 1) + "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n" + inner,
		"HTTP/0.9":              "GET /version\r\n\r\n" + inner,
		"HTTP/2's preface":      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + inner,
		"an unknown version":    strings.Replace(first, "HTTP/1.1", "HTTP/1.9", 1) + "Content-Length: 0\r\n\tTransfer-Encoding: chunked\r\n\r\n" + inner,
		"a line feed in a path": "GET /version\nX HTTP/1.1\r\nHost: h\r\nContent-Length: " + fmt.Sprint(n) + "\r\nTransfer-Encoding: chunked\r\n\r\n" + inner,
		"a body for GET":        "GET /version HTTP/1.1\r\nHost: h\r\nContent-Length: " + fmt.Sprint(n) + "\r\n\r\n" + inner,
		"a body for HEAD":       "HEAD /version HTTP/1.1\r\nHost: h\r\nContent-Length: " + fmt.Sprint(n) + "\r\n\r\n" + inner,
		"a body for nothing":    "POST /nothing HTTP/1.1\r\nHost: h\r\nContent-Length: " + fmt.Sprint(n) + "\r\n\r\n" + inner,
		"a body unread":         "POST /v2/sessions HTTP/1.1\r\nHost: h\r\nContent-Length: " + fmt.Sprint(n) + "\r\n\r\n" + inner,
		"an event":              "POST /events/zitadel HTTP/1.1\r\nHost: h\r\nContent-Length: " + fmt.Sprint(n) + "\r\n\r\n" + inner,
		"an event of no key":    "POST /events/zitadel HTTP/1.1\r\nHost: h\r\nZITADEL-Signature: " + zitadeltest.Signature(f.now().Std(), nil, "another-key") + "\r\nContent-Length: " + fmt.Sprint(n) + "\r\n\r\n" + inner,
		"an event, two codings": "POST /events/zitadel HTTP/1.1\r\nHost: h\r\nZITADEL-Signature: " + zitadeltest.Signature(f.now().Std(), nil, eventKey) + "\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n" + inner,
		"a body for a switch":   first + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nContent-Length: " + fmt.Sprint(n) + "\r\n\r\n" + inner,
	} {
		t.Run(name, func(t *testing.T) {
			for _, addr := range []string{f.addr, verify} {
				if statuses := answers(t, addr, request); len(statuses) > 1 {
					t.Errorf("%s answered %d times: %v", addr, len(statuses), statuses)
				}
			}
			f.want(http.StatusOK, "admin", "GET", "/v2/sessions/victim", "", "Session-Consistency", "fresh")
		})
	}
	// The test can fail: one after the other, both are answered.
	if statuses := answers(t, f.addr, first+"Content-Length: 2\r\n\r\n{}"+inner); len(statuses) != 2 {
		t.Errorf("two good requests have %v", statuses)
	}
	f.want(http.StatusNotFound, "admin", "GET", "/v2/sessions/victim", "", "Session-Consistency", "fresh")
}

// answers sends bytes over a connection of its own, ends its half, and returns
// the status of each answer until the server ends the connection.
func answers(t *testing.T, addr, request string) (statuses []int) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	_ = conn.(*net.TCPConn).CloseWrite()
	method, _, _ := strings.Cut(request, " ")
	for in := bufio.NewReader(conn); ; {
		res, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return statuses
		}
		statuses = append(statuses, res.StatusCode)
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if err != nil {
			return statuses
		}
		method = http.MethodPost // of what would come next, its answer has a body
	}
}
