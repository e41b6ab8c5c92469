package httpapi

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// raw sends bytes over a connection of its own and returns all that is
// answered until the server closes it, or until a first whole answer.
func (f *fixture) raw(request string, halfClose bool) (*http.Response, string) {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.addr)
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close()
	// The server may answer and close before it has read everything: a failure
	// to write is not of interest, the answer is.
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = io.WriteString(conn, request)
		if halfClose {
			_ = conn.(*net.TCPConn).CloseWrite()
		}
	}()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		f.t.Fatalf("no answer to %.60q: %v", request, err)
	}
	body, _ := io.ReadAll(res.Body)
	res.Body.Close()
	conn.Close()
	<-written
	return res, string(body)
}

func (f *fixture) post(path, body string, headers ...string) string {
	return "POST " + path + " HTTP/1.1\r\nHost: " + f.addr + "\r\nAuthorization: Bearer " + f.secret["admin"] + "\r\n" +
		strings.Join(append(headers, ""), "\r\n") + "Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
}

func (f *fixture) chunked(body string, headers ...string) string {
	return "POST /v2/sessions HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + f.secret["admin"] + "\r\nTransfer-Encoding: chunked\r\n" +
		strings.Join(append(headers, ""), "\r\n") + "\r\n" + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
}

// Each bad request gets its error, with the connection closed where its rest
// cannot be told from a next request, and the server goes on as before.
func TestBadInput(t *testing.T) {
	f := newFixture(t, func(s *setup) {
		s.config.MaxBodyBytes = 8 << 10
	})
	chunked := f.chunked
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = io.WriteString(z, `{}`)
	_ = z.Close()
	deep := strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100)
	arrays := `{"queries":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}"
	search := "/v2/sessions/search"

	for _, c := range []struct {
		name, request string
		halfClose     bool
		status        int
		message       string
		closed        bool
	}{
		{name: "too large", request: f.post(search, strings.Repeat(" ", 8<<10+1)), status: 413, message: "at most 8192 bytes", closed: true},
		{name: "large enough", request: f.post(search, "{}"+strings.Repeat(" ", 8<<10-2)), status: 200},
		{name: "too large, chunked", request: chunked(strings.Repeat(" ", 8<<10+1)), status: 413, message: "at most 8192 bytes", closed: true},
		{name: "chunked", request: chunked("{}"), status: 201},
		{name: "enormous, announced only", request: "POST " + search + " HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\n" + strings.Repeat(" ", 8<<10), status: 401, message: "auth header missing", closed: true},
		{name: "enormous, announced only, by a known caller", request: "POST " + search + " HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + f.secret["reader"] + "\r\nContent-Length: 99999999999\r\n\r\n ", status: 413, message: "at most 8192", closed: true},
		{name: "too deep, unknown field", request: f.post(search, deep), status: 400, message: "nested deeper"},
		{name: "too deep, known field", request: f.post(search, arrays), status: 400, message: "proto:"},
		{name: "truncated JSON", request: f.post(search, `{"queries":[{"userIdQuery":{"id":"al`), status: 400, message: "unexpected end"},
		{name: "truncated body", request: strings.Replace(f.post(search, `{}`), "Content-Length: 2", "Content-Length: 20", 1), halfClose: true, status: 400, message: "ended early", closed: true},
		{name: "truncated chunks", request: strings.TrimSuffix(chunked(`{}`), "0\r\n\r\n"), halfClose: true, status: 400, closed: true},
		{name: "broken chunks", request: strings.Replace(chunked(`{}`), "\r\n2\r\n", "\r\nzz\r\n", 1), status: 400, closed: true},
		{name: "wrong type", request: f.post(search, `{"queries":[{"userIdQuery":{"id":7}}]}`), status: 400, message: "queries[0].userIdQuery.id: must be a string"},
		{name: "no object", request: f.post(search, `[]`), status: 400, message: "must be an object"},
		{name: "two objects", request: f.post(search, `{}{}`), status: 400, message: "after the end"},
		{name: "invalid UTF-8", request: f.post(search, "{\"queries\":[{\"userIdQuery\":{\"id\":\"\xff\"}}]}"), status: 400, message: "UTF-8"},
		{name: "UTF-16", request: f.post(search, "\xff\xfe{\x00}\x00"), status: 400, message: "proto:"},
		{name: "wrong charset", request: f.post(search, "{}", `Content-Type: application/json; charset="utf-16"`), status: 415, message: "utf-8", closed: true},
		{name: "right charset", request: f.post(search, "{}", `Content-Type: application/json; charset=UTF-8`), status: 200},
		{name: "a form", request: f.post(search, "{}", `Content-Type: application/x-www-form-urlencoded`), status: 200},
		{name: "a multipart form", request: f.post(search, "--b\r\n\r\n--b--", `Content-Type: multipart/form-data; boundary=b`), status: 400, message: "proto:"},
		{name: "duplicate keys", request: f.post(search, `{"query":{"limit":1,"limit":2}}`), status: 400, message: "twice"},
		{name: "duplicate keys, two spellings", request: f.post(search, `{"sortingColumn":1,"sorting_column":1}`), status: 400, message: "twice"},
		{name: "compressed", request: f.post(search, zipped.String(), "Content-Encoding: gzip"), status: 415, message: "compressed", closed: true},
		{name: "both lengths", request: strings.Replace(chunked(`{}`), "Transfer-Encoding", "Content-Length: 2\r\nTransfer-Encoding", 1), status: 400, message: "Content-Length and Transfer-Encoding", closed: true},
		{name: "both lengths, the other way round", request: chunked(`{}`, "content-length: 2"), status: 400, message: "Content-Length and Transfer-Encoding", closed: true},
		{name: "both lengths, identity", request: f.post(search, `{}`, "Transfer-Encoding: identity"), status: 400, message: "Content-Length and Transfer-Encoding", closed: true},
		{name: "both lengths, identity and 0", request: f.post(search, ``, "Transfer-Encoding: identity"), status: 400, message: "Content-Length and Transfer-Encoding", closed: true},
		{name: "both lengths, chunked and 0", request: f.post(search, ``, "Transfer-Encoding: chunked"), status: 400, message: "Content-Length and Transfer-Encoding", closed: true},
		{name: "identity", request: strings.Replace(f.post(search, ``), "Content-Length: 0", "Transfer-Encoding: identity", 1), status: 400, message: "must be chunked", closed: true},
		{name: "another coding", request: strings.Replace(chunked(`{}`), "chunked", "gzip, chunked", 1), status: 400, closed: true},
		{name: "chunked twice", request: chunked(`{}`, "Transfer-Encoding: chunked"), status: 400, closed: true},
		{name: "chunked in capitals", request: strings.Replace(chunked(`{}`), "chunked", "Chunked", 1), status: 201},
		{name: "two lengths", request: f.post(search, `{}`, "Content-Length: 2"), status: 400, message: "malformed", closed: true},
		{name: "an unknown expectation", request: f.post(search, `{}`, "Expect: x"), status: 417, message: "100-continue", closed: true},
		{name: "an unknown expectation beside a known one", request: f.post(search, `{}`, "Expect: 100-continue", "expect: x"), status: 417, closed: true},
		{name: "two expectations in one", request: f.post(search, `{}`, "Expect: 100-continue, x"), status: 417, closed: true},
		{name: "an unknown expectation without a body", request: f.post(search, ``, "Expect: x"), status: 417, closed: true},
		{name: "an expectation in capitals", request: f.post(search, `{}`, "Expect: 100-Continue"), status: 100},
		{name: "an expectation of HTTP/1.0", request: strings.Replace(f.post(search, `{}`, "Expect: 100-continue"), "HTTP/1.1", "HTTP/1.0", 1), status: 200, closed: true},
		{name: "headers of 64 KiB", request: f.post(search, `{}`, "X-Long: "+strings.Repeat("x", 64<<10)), status: 431, message: "at most 65536 bytes", closed: true},
		{name: "headers of 63 KiB", request: f.post(search, `{}`, "X-Long: "+strings.Repeat("x", 63<<10)), status: 200},
		{name: "trailers of 64 KiB", request: strings.TrimSuffix(chunked(`{}`), "\r\n") + "X-Long: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", status: 431, message: "trailers too large", closed: true},
		{name: "no HTTP", request: "hello\r\n\r\n", status: 400, message: "malformed", closed: true},
		{name: "a header with a control character", request: f.post(search, `{}`, "Authorization: Bearer \x01"+f.secret["admin"]), status: 400, message: "malformed", closed: true},
		{name: "a body that nobody reads", request: strings.Replace(f.post("/v2/sessions/import", `{}`), f.secret["admin"], f.secret["nobody"], 1), status: 403, closed: true},
		{name: "a body for GET", request: "GET /version HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}", status: 200, closed: true},
	} {
		res, body := f.raw(c.request, c.halfClose)
		if res.StatusCode != c.status || !strings.Contains(body, c.message) {
			t.Errorf("%s: got %d %.300s, want %d with %q", c.name, res.StatusCode, body, c.status, c.message)
		}
		if res.StatusCode >= 400 && res.Header.Get("Content-Type") != contentTypeJSON {
			t.Errorf("%s: the error is of type %q", c.name, res.Header.Get("Content-Type"))
		}
		if res.Close != c.closed {
			t.Errorf("%s: connection closed is %v, want %v", c.name, res.Close, c.closed)
		}
		f.want(http.StatusOK, "admin", "POST", search, `{}`)
	}
	if strings.Contains(f.logs.String(), f.secret["admin"]) {
		t.Error("the log has the API key")
	}
}

// A client that is too slow is told so, and costs others nothing.
func TestSlowClients(t *testing.T) {
	f := newFixture(t, func(s *setup) { s.limits.Read = 500 * time.Millisecond })
	var wg sync.WaitGroup
	for _, c := range []struct {
		name, request string
		status        int
		message       string
	}{
		{name: "a slow header", request: "GET / HTTP/1.1\r\nHost: h\r\n", status: 408, message: "in time"},
		{name: "a slow body", request: strings.Replace(f.post("/v2/sessions/search", `{}`), "Content-Length: 2", "Content-Length: 20", 1), status: 408, message: "in time"},
		{name: "a slow long body", request: strings.Replace(f.post("/v2/sessions/search", strings.Repeat(" ", 8<<10-100)), "Content-Length: 8092", "Content-Length: 8192", 1), status: 408, message: "in time"},
		{name: "a slow chunk", request: strings.TrimSuffix(f.chunked(`{}`), "0\r\n\r\n"), status: 408, message: "in time"},
		{name: "a slow end of a chunk", request: strings.TrimSuffix(f.chunked(`{}`), "\r\n0\r\n\r\n"), status: 400, message: "malformed"},
	} {
		wg.Go(func() {
			res, body := f.raw(c.request, false)
			if res.StatusCode != c.status || !strings.Contains(body, c.message) || !res.Close {
				t.Errorf("%s: got %d %s, closed %v", c.name, res.StatusCode, body, res.Close)
			}
		})
	}
	f.want(http.StatusOK, "admin", "POST", "/v2/sessions/search", `{}`)
	wg.Wait()
	f.want(http.StatusOK, "admin", "POST", "/v2/sessions/search", `{}`)
}

// A client that sends its whole body before it looks for an answer finds the
// answer, though nobody wanted the body.
func TestRefusalIsNotLost(t *testing.T) {
	f := newFixture(t)
	for path, want := range map[string]int{"/v2/sessions": 413, "/v2/nothing": 404, "/v2/sessions/s": 405} {
		conn, err := net.Dial("tcp", f.addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, f.post(path, strings.Repeat(" ", 8<<20))); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != want {
			t.Errorf("%s: got %d, want %d", path, res.StatusCode, want)
		}
		conn.Close()
	}
}

// A client that waits for leave to send its body gets it.
func TestExpectContinue(t *testing.T) {
	f := newFixture(t)
	f.client.Transport.(*http.Transport).ExpectContinueTimeout = time.Hour
	f.want(http.StatusOK, "admin", "POST", "/v2/sessions/search", `{}`, "Expect", "100-continue")
	r := f.want(http.StatusOK, "writer", "POST", "/v2/sessions/import", `{"id":"a"}`, "Expect", "100-continue")
	if !strings.Contains(r.body, `"stored":1`) {
		t.Errorf("got %s", r.body)
	}
	// One that waits without hope is told at once: the first line that it gets
	// is the refusal.
	limit := f.server.config.MaxBodyBytes
	for _, c := range []struct {
		as, path string
		length   int
		status   int
	}{
		{"admin", "/v2/sessions", limit + 1, 413},
		{"admin", "/v2/sessions", limit, 100},
		{"writer", "/v2/sessions/import", 1 << 40, 100},
		{"wrong", "/v2/sessions/import", 1 << 40, 401},
		{"admin", "/v2/nothing", 2, 404},
		{"admin", "/v2/sessions/s", 2, 405},
	} {
		secret := f.secret[c.as]
		request := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", c.path, cmp.Or(secret, c.as), c.length)
		if status := f.firstStatus(request); status != c.status {
			t.Errorf("%s of %d bytes as %s: got %d, want %d", c.path, c.length, c.as, status, c.status)
		}
	}
}

// firstStatus sends bytes over a connection of its own, keeps it open, and
// returns the status of the first answer, which may be 100.
func (f *fixture) firstStatus(request string) int {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.addr)
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		f.t.Fatal(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		f.t.Fatalf("no answer to %.60q: %v", request, err)
	}
	var status int
	if _, err := fmt.Sscanf(line, "HTTP/1.1 %d", &status); err != nil {
		f.t.Fatal(err)
	}
	return status
}

// A caller without the right is told so before the body is there. The server would
// wait for it for an hour.
func TestRefusesUnread(t *testing.T) {
	f := newFixture(t, func(s *setup) { s.limits.Read = time.Hour })
	almost := strings.Repeat(" ", f.server.config.MaxBodyBytes-1)
	for _, body := range []string{"", " ", almost} {
		for _, c := range []struct {
			path, as string
			status   int
		}{
			{"/v2/sessions", "", 401},
			{"/v2/sessions/import", "", 401},
			{"/v2/nothing", "", 404},
			{"/v2/sessions/s", "", 405},
			{"/v2/sessions", "wrong", 401},
			{"/v2/nothing", "wrong", 404},
		} {
			if body == "" && c.as != "" {
				continue // a handler is asked when the first byte is there
			}
			request := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n", c.path, f.server.config.MaxBodyBytes)
			if c.as != "" {
				request += "Authorization: Bearer " + c.as + "\r\n"
			}
			if status := f.firstStatus(request + "\r\n" + body); status != c.status {
				t.Errorf("%s as %q with %d bytes: got %d, want %d", c.path, c.as, len(body), status, c.status)
			}
		}
	}
}

// A request that follows a refused one on the same connection is answered as if
// nothing had been.
func TestBadInputKeepsTheConnection(t *testing.T) {
	f := newFixture(t)
	conn, err := net.Dial("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	ask := func(request string, want int) {
		t.Helper()
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != want {
			t.Errorf("%.40q: got %d, want %d", request, res.StatusCode, want)
		}
	}
	long := `{"queries":[{"idsQuery":{"ids":["` + strings.Repeat(`a","`, 20_000) + `"]}}]}`
	for range 3 {
		ask(f.post("/v2/sessions/search", `{`), 400)
		ask(f.post("/v2/sessions/search", `{}`), 200)
		ask(f.post("/v2/sessions/search", long), 200) // longer than what is read ahead
		ask(strings.Replace(f.post("/v2/sessions/unknown", ``), "POST", "PATCH", 1), 404)
		ask(f.post("/v2/sessions/unknown", ``), 405)
		ask(f.post("/v2/nothing", ``), 404)
		ask(f.post("/v2/sessions/import", `{"id":"a"}`), 200)
		for _, path := range []string{"/v2/sessions/search", "/v2/sessions/import"} {
			ask(strings.Replace(f.post(path, "2\r\n{}\r\n0\r\n\r\n"), "Content-Length: 12", "Transfer-Encoding: chunked", 1), 200)
		}
		ask(strings.Replace(f.post("/v2/sessions", ``), f.secret["admin"], "wrong", 1), 401)
	}
}

// HEAD answers as GET does, without the body.
func TestHead(t *testing.T) {
	f := newFixture(t)
	f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/s", `{}`)
	get := f.want(http.StatusOK, "admin", "GET", "/v2/sessions/s", "")
	head := f.want(http.StatusOK, "admin", "HEAD", "/v2/sessions/s", "")
	if head.body != "" || head.header.Get("Content-Length") != strconv.Itoa(len(get.body)) || head.header.Get("ETag") != `"1"` {
		t.Errorf("got %v %q", head.header, head.body)
	}
	f.want(http.StatusNotFound, "admin", "HEAD", "/v2/sessions/unknown", "")
	f.want(http.StatusMethodNotAllowed, "admin", "HEAD", "/v2/sessions", "")
	f.want(http.StatusMethodNotAllowed, "admin", "OPTIONS", "/v2/sessions", "")
}

// A request ID is taken over if it is safe to repeat, and made otherwise.
func TestRequestID(t *testing.T) {
	f := newFixture(t)
	given := func(id string) string {
		return f.want(http.StatusOK, "", "GET", "/version", "", "X-Request-Id", id).header.Get("X-Request-Id")
	}
	for _, id := range []string{"a", "7c1d-42:/+=@_.", strings.Repeat("x", 128)} {
		if got := given(id); got != id {
			t.Errorf("%q became %q", id, got)
		}
	}
	seen := map[string]bool{}
	for _, id := range []string{"", "a b", "a\"b", "ä", strings.Repeat("x", 129), "a,b", "<a>"} {
		got := given(id)
		if got == id || len(got) != 16 || seen[got] {
			t.Errorf("%q became %q", id, got)
		}
		seen[got] = true
	}
	// Errors have one too.
	if got := f.want(http.StatusNotFound, "", "GET", "/", "").header.Get("X-Request-Id"); len(got) != 16 {
		t.Errorf("an error has the request ID %q", got)
	}
}

// Without authentication, only loopback names are served over TCP.
func TestAnonymous(t *testing.T) {
	f := newFixture(t, func(s *setup) { s.config.Anonymous = true })
	r := f.want(http.StatusCreated, "", "POST", "/v2/sessions", `{}`)
	id := newID.FindStringSubmatch(r.body)[1]
	if ids, total := f.search("", `{"queries":[{"creatorQuery":{}}]}`); total != 1 || ids[0] != id {
		t.Errorf("anonymous did not create %s", id)
	}
	f.want(http.StatusOK, "", "DELETE", "/v2/sessions/"+id, "")
	f.want(http.StatusUnauthorized, "wrong", "GET", "/v2/sessions/"+id, "")
	f.want(http.StatusForbidden, "nobody", "POST", "/v2/sessions", "{}")
	for host, ok := range map[string]bool{
		"localhost": true, "localhost:8080": true, "LocalHost": true, "127.0.0.1": true, "127.9.9.9:1": true, "[::1]": true, "[::1]:80": true,
		"example.com": false, "localhost.example.com": false, "127.0.0.1.nip.io": false, "10.0.0.1": false, "0.0.0.0": false, "[::]": false, "evil:80": false,
	} {
		want := http.StatusOK
		if !ok {
			want = http.StatusForbidden
		}
		r := f.want(want, "", "GET", "/version", "", "Host", host)
		if !ok && !strings.Contains(r.body, "loopback") {
			t.Errorf("%s: %s", host, r.body)
		}
	}
	for _, c := range []struct {
		status  int
		headers []string
	}{
		{200, []string{"Origin", "http://localhost:3000"}},
		{200, []string{"Origin", "https://[::1]:3000", "Sec-Fetch-Site", "same-origin"}},
		{200, []string{"Origin", "http://127.0.0.1"}},
		{200, []string{"Sec-Fetch-Site", "none"}},
		{403, []string{"Origin", "https://example.com"}},
		{403, []string{"Origin", "null"}},
		{403, []string{"Origin", "file://localhost"}},
		{403, []string{"Origin", "http://localhost.example.com"}},
		{403, []string{"Origin", "http://localhost@example.com"}},
		{403, []string{"Origin", "localhost"}},
		{403, []string{"Sec-Fetch-Site", "cross-site"}},
		{403, []string{"Sec-Fetch-Site", "same-site"}},
		{403, []string{"Origin", "http://localhost:3000", "Sec-Fetch-Site", "cross-site"}},
	} {
		r := f.want(c.status, "", "POST", "/v2/sessions/search", `{}`, append(c.headers, "Content-Type", "text/plain")...)
		if c.status == 403 && !strings.Contains(r.body, "Sec-Fetch-Site") {
			t.Errorf("%v: %s", c.headers, r.body)
		}
	}
	// Each of several counts.
	for _, name := range []string{"Origin", "Sec-Fetch-Site"} {
		good := map[string]string{"Origin": "http://localhost", "Sec-Fetch-Site": "none"}[name]
		res, _ := f.raw("POST /v2/sessions HTTP/1.1\r\nHost: localhost\r\n"+name+": "+good+"\r\n"+name+": https://example.com\r\nContent-Length: 0\r\n\r\n", false)
		if res.StatusCode != http.StatusForbidden {
			t.Errorf("a second %s is passed over: %d", name, res.StatusCode)
		}
	}
	closed := newFixture(t)
	closed.want(http.StatusOK, "", "GET", "/version", "", "Host", "example.com", "Origin", "https://example.com", "Sec-Fetch-Site", "cross-site")
	closed.want(http.StatusUnauthorized, "", "POST", "/v2/sessions", `{}`)
}
