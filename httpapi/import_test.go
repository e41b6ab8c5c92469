package httpapi

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/imports"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
)

// imported is the answer to an import.
type imported struct {
	Stored, Expired, Failed int
	Errors                  []struct {
		Line    int
		Message string
	}
}

func (f *fixture) importLines(body io.Reader) imported {
	f.t.Helper()
	r, err := f.stream("writer", "POST", "/v2/sessions/import", body)
	if err != nil {
		f.t.Fatal(err)
	}
	if r.status != http.StatusOK {
		f.t.Fatalf("import: %d %s", r.status, r.body)
	}
	var got imported
	if err := json.Unmarshal([]byte(r.body), &got); err != nil {
		f.t.Fatal(err)
	}
	return got
}

// A broken line costs nothing but itself, and is told with its number and what
// is wrong.
func TestImportBrokenLines(t *testing.T) {
	eachShards(t, func(t *testing.T, shards int) {
		f := newFixture(t, withShards(shards), func(s *setup) { s.config.MaxSessionBytes = 1024 })
		limit := 2*1024 + maxLineExtra
		pad := func(n int) string { // a line of n bytes
			head, tail := `{"id":"long"`, `}`
			return head + strings.Repeat(" ", n-len(head)-len(tail)) + tail
		}
		lines := []struct{ line, message string }{
			{`{"id":"a"}`, ""},
			{``, ""},
			{"  \t\r", ""},
			{`{"id":"b"`, "unexpected end"},
			{`not json`, "must be an object"},
			{`{"id":"b","id":"c"}`, "twice"},
			{`{"id":"b","sequence":-1}`, "sequence"},
			{`{"id":"a/b"}`, "invalid id"},
			{`{}`, "invalid id"},
			{pad(limit), ""},
			{pad(limit + 1), "too long: at most " + fmt.Sprint(limit)},
			{pad(10 * limit), "too long"},
			{`{"id":"` + strings.Repeat("x", 129) + `"}`, "invalid id"},
			{`{"id":"b","metadata":{"k":"` + strings.Repeat("AAAA", 300) + `"}}`, "at most 1024 bytes"},
			{"{\"id\":\"\xff\"}", "UTF-8"},
			{`{"id":"over","expirationDate":"2050-01-01T00:00:00Z"}`, ""},
			{`{"id":"last"}`, ""}, // without a line feed
		}
		var text []string
		want := map[int]string{}
		for i, l := range lines {
			text = append(text, l.line)
			if l.message != "" {
				want[i+1] = l.message
			}
		}
		got := f.importLines(strings.NewReader(strings.Join(text, "\n")))
		if got.Stored != 3 || got.Expired != 1 || got.Failed != len(want) || len(got.Errors) != len(want) {
			t.Errorf("got %+v", got)
		}
		for _, e := range got.Errors {
			if want[e.Line] == "" || !strings.Contains(e.Message, want[e.Line]) {
				t.Errorf("line %d: %s, want %q", e.Line, e.Message, want[e.Line])
			}
		}
		for _, id := range []string{"a", "long", "last"} {
			f.want(http.StatusOK, "admin", "GET", "/v2/sessions/"+id, "")
		}
	})
}

// The first thousand broken lines are named, whatever the order in which the
// workers find them.
func TestImportNamesTheFirstErrors(t *testing.T) {
	f := newFixture(t)
	var b strings.Builder
	for i := range 3000 {
		if i%2 == 0 {
			b.WriteString("broken\n")
		} else {
			fmt.Fprintf(&b, `{"id":"s%d","factors":{"password":{}}}`+"\n", i) // the worker finds it
		}
	}
	got := f.importLines(strings.NewReader(b.String()))
	if got.Failed != 3000 || len(got.Errors) != imports.MaxErrors {
		t.Fatalf("%d failed, %d are named", got.Failed, len(got.Errors))
	}
	for i, e := range got.Errors {
		if e.Line != i+1 {
			t.Fatalf("error %d is of line %d", i, e.Line)
		}
	}
}

// The lines of one session are stored in their order: the last one stays.
func TestImportKeepsTheOrderOfASession(t *testing.T) {
	eachShards(t, func(t *testing.T, shards int) {
		f := newFixture(t, withShards(shards))
		const sessions, versions = 20, 30
		var b strings.Builder
		for v := range versions {
			for s := range sessions {
				fmt.Fprintf(&b, `{"id":"s%d","sequence":"7","metadata":{"v":"%s"}}`+"\n", s, fmt.Sprintf("%04d", v))
			}
		}
		got := f.importLines(strings.NewReader(b.String()))
		if got.Stored != sessions*versions {
			t.Fatalf("got %+v", got)
		}
		for s := range sessions {
			if g := f.get(fmt.Sprintf("s%d", s)); g.Session.Metadata["v"] != fmt.Sprintf("%04d", versions-1) {
				t.Errorf("s%d has version %s", s, g.Session.Metadata["v"])
			}
		}
	})
}

// lineSource makes lines as they are read, and looks at the memory meanwhile.
type lineSource struct {
	lines, made int
	line        func(i int) string
	rest        string
	peak        uint64
}

func (s *lineSource) Read(p []byte) (int, error) {
	if s.rest == "" {
		if s.made == s.lines {
			return 0, io.EOF
		}
		if s.made%20_000 == 0 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			s.peak = max(s.peak, m.HeapAlloc)
		}
		s.rest = s.line(s.made)
		s.made++
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// An import takes the same memory whatever its length. Here it is 150 MB long, with -short 75 MB.
func TestImportInConstantMemory(t *testing.T) {
	f := newFixture(t)
	filler, lines := strings.Repeat("AAAA", 160), testdepth.Of(200_000, 100_000)
	source := &lineSource{lines: lines, line: func(i int) string {
		// One line in ten is stored; the others are read, decoded and found broken or over.
		switch i % 10 {
		case 0:
			return fmt.Sprintf(`{"id":"s%d","metadata":{"k":"%s"}}`+"\n", i, filler)
		case 1:
			return fmt.Sprintf(`{"id":"s%d","metadata":{"k":"%s"},"expirationDate":"2050-01-01T00:00:00Z"}`+"\n", i, filler)
		}
		return fmt.Sprintf(`{"id":"s%d","factors":{"password":{}},"metadata":{"k":"%s"}}`+"\n", i, filler)
	}}
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	got := f.importLines(source)
	if got.Stored != lines/10 || got.Expired != lines/10 || got.Failed != lines/10*8 || len(got.Errors) != imports.MaxErrors {
		t.Errorf("%d stored, %d expired, %d failed, %d named", got.Stored, got.Expired, got.Failed, len(got.Errors))
	}
	if grown := int64(source.peak) - int64(before.HeapAlloc); grown > 24<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	if _, total := f.search("admin", `{"query":{"limit":1}}`); total != lines/10 {
		t.Errorf("%d are stored", total)
	}
	if !strings.Contains(f.logs.String(), "import goes on") {
		t.Error("the log has no progress")
	}
}

// beginImport begins an import of the lines that are written to out. Once it has been answered, what is still written fails.
func (f *fixture) beginImport() (out io.WriteCloser, answered <-chan reply) {
	in, out := io.Pipe()
	answers := make(chan reply, 1)
	go func() {
		r, err := f.stream("writer", "POST", "/v2/sessions/import", in)
		if err != nil {
			f.t.Error(err)
		}
		in.Close()
		answers <- r
	}()
	return out, answers
}

// When the store stays away, the import ends, says which line it did not take,
// and leaves nothing running. (I2)
func TestI2_ImportWithoutRedis(t *testing.T) {
	f := newFixture(t, func(s *setup) { s.limits.patience = 20 * time.Millisecond })
	out, answered := f.beginImport()
	_, _ = io.WriteString(out, `{"id":"first"}`+"\n")
	eventually.Holds(t, "the first line", func() bool { return f.do("admin", "GET", "/v2/sessions/first", "").status == http.StatusOK })
	f.proxy.Refuse(true)
	f.proxy.CutAll()
	for i := 0; ; i++ { // until nobody reads any more
		if _, err := fmt.Fprintf(out, `{"id":"s%d"}`+"\n", i); err != nil {
			break
		}
	}
	r := <-answered
	// The first line may be stored, and the import not know it yet.
	counted := strings.Contains(r.body, "line 2 is the first that was not taken, 1 were stored") ||
		strings.Contains(r.body, "line 1 is the first that was not taken, 0 were stored")
	if r.status != http.StatusServiceUnavailable || !counted {
		t.Errorf("got %d %s", r.status, r.body)
	}
	if r.header.Get("Retry-After") != "1" {
		t.Errorf("got %v", r.header)
	}
}

// A store that comes back in time costs no line.
func TestImportOutlivesAnOutage(t *testing.T) {
	f := newFixture(t, func(s *setup) { s.limits.patience = time.Minute })
	in, out := io.Pipe()
	answered := make(chan imported, 1)
	go func() { answered <- f.importLines(in) }()
	for i := range 400 {
		switch i {
		case 100:
			f.proxy.Refuse(true)
			f.proxy.CutAll()
		case 150:
			f.proxy.Refuse(false)
		}
		_, _ = fmt.Fprintf(out, `{"id":"s%d","sequence":"1"}`+"\n", i)
	}
	out.Close()
	if got := <-answered; got.Stored != 400 || got.Failed != 0 {
		t.Errorf("got %+v", got)
	}
	if _, total := f.search("admin", `{"query":{"limit":1}}`); total != 400 {
		t.Errorf("%d are stored", total)
	}
}

// A client that goes away ends its import; what it sent whole is stored, a
// line that was cut is not.
func TestImportClientGoesAway(t *testing.T) {
	f := newFixture(t)
	for _, framing := range []string{"Content-Length: 100000", "Transfer-Encoding: chunked"} {
		conn, err := net.Dial("tcp", f.addr)
		if err != nil {
			t.Fatal(err)
		}
		// The server begins a request when it has read 8 KiB of its body.
		body := strings.Repeat("\n", 8<<10) + `{"id":"whole"}` + "\n" + `{"id":"cut"}`
		if strings.HasPrefix(framing, "T") {
			body = fmt.Sprintf("%x\r\n%s\r\n", len(body), body)
		}
		_, _ = io.WriteString(conn, "POST /v2/sessions/import HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer "+f.secret["writer"]+"\r\n"+framing+"\r\n\r\n"+body)
		conn.Close()
	}
	eventually.Holds(t, "both imports to end", func() bool { return f.logs.Count("import ends") == 2 })
	f.want(http.StatusOK, "admin", "GET", "/v2/sessions/whole", "")
	f.want(http.StatusNotFound, "admin", "GET", "/v2/sessions/cut", "")
}

// An import whose body ends early tells how far it came.
func TestImportEndsEarly(t *testing.T) {
	f := newFixture(t)
	head := "POST /v2/sessions/import HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + f.secret["writer"] + "\r\n"
	body := `{"id":"a"}` + "\n\n" + `{"id":"b","expirationDate":"2050-01-01T00:00:00Z"}` + "\nbroken\n" + `{"id":"c"}` + "\n" + `{"id":"cut`
	for framing, message := range map[string]string{
		"Content-Length: 100000\r\n\r\n" + body:                                                    "the request body ended early",
		fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(body), body):             "the request body ended early",
		fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\nno chunk\r\n", len(body), body): "malformed HTTP request",
	} {
		res, answer := f.raw(head+framing, true)
		want := message + "; line 6 is the first that was not taken, 2 were stored, 1 were expired, 1 failed; the whole import can be sent again"
		if res.StatusCode != http.StatusBadRequest || !res.Close || !strings.Contains(answer, want) {
			t.Errorf("%.60q: got %d %s, want %s", framing, res.StatusCode, answer, want)
		}
	}
}

// While a client is silent, an import that is given up ends all the same.
func TestImportGivesUpOnASilentClient(t *testing.T) {
	f := newFixture(t, func(s *setup) { s.limits.patience, s.limits.pause = 20*time.Millisecond, time.Hour })
	f.proxy.Refuse(true)
	f.proxy.CutAll()
	res, body := f.raw("POST /v2/sessions/import HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer "+f.secret["writer"]+
		"\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n"+`{"id":"a"}`+"\n\r\n", false)
	if res.StatusCode != http.StatusServiceUnavailable || !res.Close || !strings.Contains(body, "line 1 is the first") {
		t.Errorf("got %d %s", res.StatusCode, body)
	}
}

// A client that falls silent is cut off.
func TestImportPause(t *testing.T) {
	f := newFixture(t, func(s *setup) { s.limits.pause = 20 * time.Millisecond })
	res, body := f.raw("POST /v2/sessions/import HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer "+f.secret["writer"]+
		"\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n"+`{"id":"a"}`+"\n\r\n", false)
	if res.StatusCode != http.StatusRequestTimeout || !res.Close {
		t.Errorf("got %d %s", res.StatusCode, body)
	}
}

// Only a few imports run at a time; others are told to come later.
func TestImportsAreBounded(t *testing.T) {
	f := newFixture(t)
	var ends []*io.PipeWriter
	answers := make(chan imported, maxImports)
	for range maxImports {
		in, out := io.Pipe()
		ends = append(ends, out)
		go func() { answers <- f.importLines(in) }()
	}
	eventually.Holds(t, "the imports to begin", func() bool { return f.server.imports.AtWork() == maxImports })
	r := f.want(http.StatusTooManyRequests, "writer", "POST", "/v2/sessions/import", `{"id":"a"}`)
	if !strings.Contains(r.body, fmt.Sprint(maxImports)) {
		t.Errorf("%s does not name the limit", r.body)
	}
	for _, out := range ends {
		out.Close()
	}
	for range maxImports {
		<-answers
	}
	eventually.Holds(t, "the imports to end", func() bool { return f.server.imports.AtWork() == 0 })
	f.want(http.StatusOK, "writer", "POST", "/v2/sessions/import", `{"id":"a"}`)
}
