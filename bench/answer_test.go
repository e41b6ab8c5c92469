package main

import (
	"strings"
	"testing"
)

func TestParseAnswer(t *testing.T) {
	f := func(in string, status int, body string, used int) {
		t.Helper()
		var a answer
		n, _, err := parseAnswer([]byte(in), &a)
		if err != nil || n != used || a.status != status || string(a.body) != body || a.bytes != used {
			t.Errorf("parseAnswer(%q): %d used, status %d, body %q, %d bytes, %v; want %d, %d, %q", in, n, a.status, a.body, a.bytes, err, used, status, body)
		}
	}
	whole := func(in string, status int, body string) {
		t.Helper()
		f(in, status, body, len(in))
		// Every begin of it is incomplete, and asks for no more than there is.
		for i := range in {
			n, least, err := parseAnswer([]byte(in[:i]), new(answer))
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
		a := answer{close: !want}
		if _, _, err := parseAnswer([]byte("HTTP/1.1 200 OK\r\n"+header+"Content-Length: 0\r\n\r\n"), &a); err != nil || a.close != want {
			t.Errorf("%q: close %t, %v; want %t", header, a.close, err, want)
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
		n, _, err := parseAnswer([]byte(in), new(answer))
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

func TestParseReply(t *testing.T) {
	f := func(in string, want int) {
		t.Helper()
		if n, err := parseReply([]byte(in)); n != want || err != nil {
			t.Errorf("parseReply(%q): %d, %v; want %d", in, n, err, want)
		}
	}
	f("$3\r\nabc\r\n$1\r\n", 9)
	f("*2\r\n$1\r\na\r\n$2\r\nbc\r\n", 19)
	f("*0\r\n", 4)
	f("*2\r\n$1\r\na\r\n$2\r\nb", 0)
	f("$3\r\nab", 0)
	f("$", 0)
	if _, err := parseReply([]byte("-LOADING\r\n")); err == nil {
		t.Error("an error reply is taken for one with a value")
	}
	if _, err := parseReply([]byte("$-1\r\n")); err == nil {
		t.Error("an absent value is taken for one")
	}
}
