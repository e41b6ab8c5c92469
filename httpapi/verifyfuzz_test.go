package httpapi

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// To any bytes the verify listener answers 200, 401, 403 or 503, and 200 only to a
// client that sends the token.
func FuzzVerifyListener(f *testing.F) {
	fix := newFixture(f, withVerify)
	_, token := fix.login(aliceVerified)
	addr := fix.verifyListener("tcp", "127.0.0.1:0")
	for _, seed := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer TOKEN\r\n\r\n",
		"POST /x HTTP/1.1\r\nHost: a\r\nCookie: session=TOKEN\r\nContent-Length: 5\r\n\r\nhello",
		"HEAD * HTTP/1.0\r\nX-Session-Token: TOKEN\r\n\r\n",
		"GET http://[::1]:1/%zz?# HTTP/1.1\r\nHost: [\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"\r\n\r\nGET / HTTP/1.1\r\n folded\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n0\r\n\r\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		request := strings.ReplaceAll(text, "TOKEN", token)
		conn, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		written := make(chan struct{})
		go func() {
			defer close(written)
			_, _ = io.WriteString(conn, request)
			_ = conn.(*net.TCPConn).CloseWrite()
		}()
		defer func() { <-written }()
		method, _, _ := strings.Cut(request, " ")
		r := bufio.NewReader(conn)
		for {
			res, err := http.ReadResponse(r, &http.Request{Method: method})
			if err != nil { // no answer to nothing, or to what has no end
				return
			}
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
			switch res.StatusCode {
			case 401, 403, 503:
			case 200:
				if !strings.Contains(request, token) {
					t.Errorf("%q passes", text)
				}
			default:
				t.Errorf("%q: %d", text, res.StatusCode)
			}
			if res.Close {
				return
			}
			method = "GET" // that of a request behind the first is not known; a HEAD ends the reading
		}
	})
}
