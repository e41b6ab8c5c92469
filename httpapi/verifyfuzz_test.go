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

// Whatever bytes come, the verify listener answers 200, 401, 403 or 503, and 200
// only to who sends the token.
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

// A cookie is found where a plain reading finds it.
func FuzzCookie(f *testing.F) {
	for _, seed := range []string{"s=1", "a=b; s=\"x\"", "s=1; s=2", " s = 1", "s=;s=", "xs=1;s", ";;s=a=b;", "s=\t1 "} {
		f.Add(seed, "s=z")
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		var want []string
		for _, header := range []string{first, second} {
			for _, pair := range strings.Split(header, ";") {
				name, value, ok := strings.Cut(strings.TrimLeft(pair, " \t"), "=")
				if !ok || name != "s" {
					continue
				}
				value = strings.TrimRight(value, " \t")
				if len(value) >= 2 && strings.HasPrefix(value, `"`) && strings.HasSuffix(value, `"`) {
					value = value[1 : len(value)-1]
				}
				want = append(want, value)
			}
		}
		got, present, clear := cookie([][]byte{[]byte(first), []byte(second)}, "s")
		same := true
		for _, v := range want {
			same = same && v == want[0]
		}
		if present != (len(want) > 0) || clear != same || present && clear && string(got) != want[0] {
			t.Errorf("%q, %q: got %q, %v, %v, want %q", first, second, got, present, clear, want)
		}
	})
}

// A policy that is accepted asks for what its text says, and for no other.
func FuzzParseVerifyPolicy(f *testing.F) {
	for _, seed := range []string{"a=factors:password+webAuthN,max_age:15m,organizations:1+2", "a=max_age:1h", "=", "a=b", "a=factors:password,factors:totp"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name, p, err := ParseVerifyPolicy(text)
		if err != nil {
			return
		}
		var parts []string
		if p.Factors != 0 {
			var names []string
			for n := range p.Factors.Names() {
				names = append(names, n)
			}
			parts = append(parts, "factors:"+strings.Join(names, "+"))
		}
		if p.MaxAge != 0 {
			parts = append(parts, "max_age:"+p.MaxAge.String())
		}
		if len(p.Organizations) > 0 {
			parts = append(parts, "organizations:"+strings.Join(p.Organizations, "+"))
		}
		if len(parts) == 0 {
			t.Fatalf("%q asks for nothing", text)
		}
		again, q, err := ParseVerifyPolicy(name + "=" + strings.Join(parts, ","))
		if err != nil || again != name || q.Factors != p.Factors || q.MaxAge != p.MaxAge || strings.Join(q.Organizations, "+") != strings.Join(p.Organizations, "+") {
			t.Errorf("%q is read as %+v, written as %q, read again as %+v, %v", text, p, parts, q, err)
		}
	})
}
