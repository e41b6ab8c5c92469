package httpapi

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the answers into the golden files")

// exchange is one request of a golden file and its answer:
//
//	### Title
//	# after 1h              moves the clock before the request
//	# without redis         sends it while Redis is out of reach
//	POST /v2/sessions
//	Authorization: Bearer <key-admin>
//
//	{"checks":{}}
//
//	HTTP/1.1 201 Created
//	Etag: "1"
//
//	{"details": …}
//
// <key-NAME> stands for an API key, <id-1> and <token-1> for the first ID and
// token that the file's answers give away.
type exchange struct {
	title        string
	notes        []string
	method, path string
	headers      []string // name, value, …
	body         string
	answer       string // from the status line on
}

// request is the exchange's first half, as it stands in the file.
func (e *exchange) request() string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n", e.title)
	for _, n := range e.notes {
		fmt.Fprintf(&b, "# %s\n", n)
	}
	fmt.Fprintf(&b, "%s %s\n", e.method, e.path)
	for i := 0; i < len(e.headers); i += 2 {
		fmt.Fprintf(&b, "%s: %s\n", e.headers[i], e.headers[i+1])
	}
	b.WriteByte('\n')
	if e.body != "" {
		b.WriteString(e.body + "\n\n")
	}
	return b.String()
}

// readGolden parses a golden file.
func readGolden(t testing.TB, file string) []exchange {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var list []exchange
	for i, part := range strings.Split("\n"+string(text), "\n### ") {
		if i == 0 {
			continue
		}
		request, answer, _ := strings.Cut(part, "\nHTTP/1.1 ")
		e := exchange{}
		if answer != "" {
			e.answer = "HTTP/1.1 " + strings.TrimSpace(answer)
		}
		head, body, _ := strings.Cut(request, "\n\n")
		e.body = strings.TrimSpace(body)
		lines := strings.Split(strings.TrimSpace(head), "\n")
		e.title, lines = lines[0], lines[1:]
		for len(lines) > 0 && strings.HasPrefix(lines[0], "# ") {
			e.notes, lines = append(e.notes, lines[0][2:]), lines[1:]
		}
		if len(lines) == 0 {
			t.Fatalf("%s: %q has no request", file, e.title)
		}
		e.method, e.path, _ = strings.Cut(lines[0], " ")
		for _, h := range lines[1:] {
			name, value, ok := strings.Cut(h, ": ")
			if !ok {
				t.Fatalf("%s: %q: %q is no header", file, e.title, h)
			}
			e.headers = append(e.headers, name, value)
		}
		list = append(list, e)
	}
	return list
}

// goldenRun sends the exchanges of one file.
type goldenRun struct {
	*fixture
	real   map[string]string // by placeholder
	ids    int
	tokens int
	// cursors that answers have given away; <cursor-1> is the first.
	cursors int
}

var (
	newID     = regexp.MustCompile(`"sessionId": ?"([0-9]{19})"`)
	newToken  = regexp.MustCompile(`"sessionToken": ?"([^"<]+)"`)
	newCursor = regexp.MustCompile(`"nextCursor": ?"([^"<]+)"`)
	// took is how long a search took; golden files have 123.
	took = regexp.MustCompile(`"microseconds":"[0-9]+"`)
	// shownHeaders are those that golden files have.
	shownHeaders = slices.Concat(
		[]string{"Accept-Encoding", "Accept-Post", "Allow", "Etag", "Retry-After", "Www-Authenticate", "X-Auth-Reason"}, identityHeaders)
)

func (g *goldenRun) send(e *exchange) string {
	for _, n := range e.notes {
		if after, ok := strings.CutPrefix(n, "after "); ok {
			d, err := time.ParseDuration(after)
			if err != nil {
				g.t.Fatal(err)
			}
			g.advance(d)
		} else if n == "without redis" {
			g.proxy.Refuse(true)
			g.proxy.CutAll()
			defer g.proxy.Refuse(false)
		}
	}
	headers := slices.Clone(e.headers)
	for i := 1; i < len(headers); i += 2 {
		headers[i] = g.fill(headers[i])
	}
	r := g.do("", e.method, g.fill(e.path), g.fill(e.body), headers...)
	g.advance(time.Second) // so that no two sessions have the same age
	return g.answer(r)
}

// answer writes an answer as it stands in a file.
func (g *goldenRun) answer(r reply) string {
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\n", r.status, http.StatusText(r.status))
	for _, name := range shownHeaders {
		if v := r.header.Get(name); v != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, g.normalise(v))
		}
	}
	if r.body != "" {
		want := contentTypeJSON
		if r.header.Get("X-Auth-Reason") != "" {
			want = "application/problem+json"
		}
		if r.header.Get("Content-Type") != want {
			g.t.Errorf("the answer has the content type %q, want %q", r.header.Get("Content-Type"), want)
		}
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, []byte(g.normalise(r.body)), "", "  "); err != nil {
			g.t.Errorf("the answer %s is no JSON: %v", r.body, err)
		}
		b.WriteString("\n" + pretty.String())
	}
	return strings.TrimSpace(b.String())
}

// fill puts real values in the place of placeholders.
func (g *goldenRun) fill(text string) string {
	for name, value := range g.real {
		text = strings.ReplaceAll(text, name, value)
	}
	return text
}

// normalise puts placeholders in the place of what is random.
func (g *goldenRun) normalise(body string) string {
	for _, m := range newID.FindAllStringSubmatch(body, -1) {
		g.ids++
		g.real[fmt.Sprintf("<id-%d>", g.ids)] = m[1]
	}
	for _, m := range newToken.FindAllStringSubmatch(body, -1) {
		g.tokens++
		g.real[fmt.Sprintf("<token-%d>", g.tokens)] = m[1]
	}
	for _, m := range newCursor.FindAllStringSubmatch(body, -1) {
		g.cursors++
		g.real[fmt.Sprintf("<cursor-%d>", g.cursors)] = m[1]
	}
	names := make([]string, 0, len(g.real))
	for name := range g.real {
		names = append(names, name)
	}
	// Tokens have IDs in them, so the longest values go first.
	slices.SortFunc(names, func(a, b string) int { return len(g.real[b]) - len(g.real[a]) })
	for _, name := range names {
		body = strings.ReplaceAll(body, g.real[name], name)
	}
	return took.ReplaceAllString(body, `"microseconds":"123"`)
}

func newGoldenRun(t testing.TB, change ...func(*setup)) *goldenRun {
	g := &goldenRun{fixture: newFixture(t, change...), real: map[string]string{}}
	for name, secret := range g.secret {
		g.real["<key-"+name+">"] = secret
	}
	return g
}

func goldenFiles(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.http")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	return files
}

// TestGolden sends the requests of the golden files and compares the answers.
// Afterwards neither the log nor any refusal has one of the secrets. (I6)
func TestGolden(t *testing.T) {
	for _, file := range goldenFiles(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			eachShards(t, func(t *testing.T, shards int) {
				g := newGoldenRun(t, withShards(shards), goldenSetup)
				exchanges := readGolden(t, file)
				var refused strings.Builder
				for i := range exchanges {
					e := &exchanges[i]
					got := g.send(e)
					if !strings.HasPrefix(got, "HTTP/1.1 2") {
						refused.WriteString(got)
					}
					if *update {
						e.answer = got
					} else if got != e.answer {
						t.Errorf("%s:\n%s\nwant:\n%s", e.title, got, e.answer)
					}
				}
				if *update {
					writeGolden(t, file, exchanges)
				}
				for name, secret := range g.real {
					if strings.HasPrefix(name, "<id-") {
						continue
					}
					if strings.Contains(g.logs.String(), secret) {
						t.Errorf("the log has %s", name)
					}
					if strings.Contains(refused.String(), name) || strings.Contains(refused.String(), secret) {
						t.Errorf("a refusal has %s", name)
					}
				}
				if strings.Contains(g.logs.String(), "hunter2") || strings.Contains(refused.String(), "hunter2") {
					t.Error("the log or a refusal has a password")
				}
			})
		})
	}
}

// goldenSetup is the configuration of the golden files.
func goldenSetup(s *setup) {
	s.config.DefaultLifetime, s.config.MaxLifetime = 30*24*time.Hour, 30*24*time.Hour
	s.config.MaxSessionBytes = 2048
	s.config.MaxBodyBytes = 16 << 10
	s.store.MaxCandidates = 20
	withVerify(s)
}

func writeGolden(t *testing.T, file string, list []exchange) {
	var b strings.Builder
	for i := range list {
		b.WriteString(list[i].request() + list[i].answer + "\n\n")
	}
	if err := os.WriteFile(file, []byte(strings.TrimSpace(b.String())+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}
