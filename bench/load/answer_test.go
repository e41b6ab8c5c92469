package load

import (
	"strings"
	"testing"
)

func TestParseAnswer(t *testing.T) {
	f := func(in string, status int, body string, used int) {
		t.Helper()
		var a Answer
		n, _, err := parseAnswer([]byte(in), &a)
		if err != nil || n != used || a.Status != status || string(a.Body) != body || a.Bytes != used {
			t.Errorf("parseAnswer(%q): %d used, status %d, body %q, %d bytes, %v; want %d, %d, %q", in, n, a.Status, a.Body, a.Bytes, err, used, status, body)
		}
	}
	whole := func(in string, status int, body string) {
		t.Helper()
		f(in, status, body, len(in))
		// Every begin of it is incomplete, and asks for no more than there is.
		for i := range in {
			n, least, err := parseAnswer([]byte(in[:i]), new(Answer))
			if n != 0 || err != nil || least <= i || least > len(in) {
				t.Errorf("parseAnswer(%q): %d used, %d needed, %v; want incomplete", in[:i], n, least, err)
			}
		}
	}
	whole("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, "{}")
	whole("HTTP/1.1 404 Not Found\r\ncontent-length:3\r\nDate: x\r\n\r\nabc", 404, "abc")
	whole("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "")
	whole("HTTP/1.1 204 No Content\r\n\r\n", 204, "")
	whole("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, "")
	whole("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, "{}")
	whole("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=1\r\n0123456789\r\n0\r\n\r\n", 200, "abc0123456789")
	whole("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTrailer: x\r\n\r\n", 200, "")
	f("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200", 200, "{}", 40)
}

func TestParseAnswer_Close(t *testing.T) {
	f := func(header string, want bool) {
		t.Helper()
		a := Answer{Close: !want}
		if _, _, err := parseAnswer([]byte("HTTP/1.1 200 OK\r\n"+header+"Content-Length: 0\r\n\r\n"), &a); err != nil || a.Close != want {
			t.Errorf("%q: close %t, %v; want %t", header, a.Close, err, want)
		}
	}
	f("", false)
	f("Connection: close\r\n", true)
	f("connection: Close\r\n", true)
	f("Connection: keep-alive\r\n", false)
}

func TestParseAnswer_Malformed(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		n, _, err := parseAnswer([]byte(in), new(Answer))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("parseAnswer(%.60q): %d, %v; want an error with %q", in, n, err, want)
		}
	}
	f("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "status line")
	f("HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n", "status line")
	f("-ERR unknown command\r\n\r\n", "status line")
	f("\r\n\r\n", "status line")
	f("HTTP/1.1 200 OK\r\n\r\n", "neither Content-Length")
	f("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "bad Content-Length")
	f("HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n", "a body of 999999999 bytes")
	f("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "malformed chunk")
	f("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", "malformed chunk")
	f("HTTP/1.1 200 OK\r\n"+strings.Repeat("x", maxHead), "headers of more than")
}
