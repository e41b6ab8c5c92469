package zitadeltest

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// exchange is a request that was sent to a real ZITADEL, and its answer.
type exchange struct {
	Name    string
	Request struct {
		Method, Path, Auth string
		Headers            [][2]string
		Body               *string
	}
	Status  int
	Headers [][2]string
	Body    *string
}

// recorded reads a file of recordings, which has n lines.
func recorded[T any](t *testing.T, file string, n int) []T {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var all []T
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var one T
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	if lines.Err() != nil || len(all) != n {
		t.Fatalf("%s has %d lines, want %d: %v", file, len(all), n, lines.Err())
	}
	return all
}

var (
	cut      = regexp.MustCompile(`…\((?:(\d+) bytes in all|binary)\)$`)
	idForm   = regexp.MustCompile(`4000\d{14}`)
	dateForm = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)
	tokens   = regexp.MustCompile(`TOKEN\d+\(len=(\d+),parts=(\d+)\)`)
)

func isCut(body *string) bool { return body != nil && cut.MatchString(*body) }

// restored returns a request's text that was cut when it was recorded: how these few go on is known, and checked by their length.
func restored(t *testing.T, name, text string) string {
	t.Helper()
	found := cut.FindStringSubmatchIndex(text)
	if found == nil {
		return text
	}
	begun := text[:found[0]]
	size, err := strconv.Atoi(text[found[2]:found[3]])
	if err != nil {
		t.Fatal(err)
	}
	list := func(begin, end string, n int, item func(int) string) string {
		items := make([]string, n)
		for i := range items {
			items[i] = item(i)
		}
		return begin + strings.Join(items, ", ") + end
	}
	fill := func(begin, unit, end string) string {
		n := size - len(begin) - len(end)
		return begin + strings.Repeat(unit, n/len(unit)+1)[:n] + end
	}
	user := func(int) string { return regexp.MustCompile(`{"userIdQuery.*?}}`).FindString(text) }
	var whole string
	switch name {
	case "create big metadata 100 KiB", "create big metadata 4 MiB":
		whole = fill(`{"metadata": {"a": "`, "QUFB", `"}}`)
		if n := len(whole) - len(`{"metadata": {"a": ""}}`); n%4 != 0 {
			whole = whole[:len(whole)-3-n%4] + strings.Repeat("=", n%4) + `"}}`
		}
	case "get id 5000 chars":
		whole = fill("/v2/sessions/", "a", "")
	case "list ids very long":
		whole = fill(`{"queries": [{"idsQuery": {"ids": ["`, "x", `"]}}]}`)
	case "list ids 1000":
		whole = list(`{"queries": [{"idsQuery": {"ids": [`, `]}}]}`, 1000, func(i int) string { return fmt.Sprintf(`"x%d"`, i) })
	case "list 200 queries":
		whole = list(`{"queries": [`, `]}`, 200, user)
	case "list 101 queries":
		whole = list(`{"queries": [`, `]}`, 101, user)
	}
	if len(whole) != size || !strings.HasPrefix(whole, begun) {
		t.Fatalf("%s: a request of %d bytes is not restored: %d bytes", name, size, len(whole))
	}
	return whole
}

// replay holds a double against recordings: it sends what was sent, and compares what is answered. IDs, dates and tokens are
// others; but each of the recording must always be the same one of the double, and no two may be one.
type replay struct {
	t      *testing.T
	s      *Server
	to     map[string]string // from the recording to the double
	from   map[string]string // and back
	logins map[string]string // bearer tokens, by what the recordings call them
}

func newReplay(t *testing.T, s *Server) *replay {
	r := &replay{t: t, s: s, to: map[string]string{}, from: map[string]string{}, logins: map[string]string{
		"admin": s.Admin.Token, "login": s.Login.Token, "noperm": s.Nobody.Token, "bad": "bad",
	}}
	for name, id := range map[string]string{
		"400000000000000001": s.InstanceID, "400000000000000006": s.OrganizationID, "400000000000000045": s.Admin.UserID, "400000000000000046": s.Login.UserID,
		"400000000000000004": s.AddUser(User{LoginName: "user1", DisplayName: "User 1", Password: "Password1!"}),
		"400000000000000008": s.AddUser(User{LoginName: "user2", DisplayName: "User 2", Password: "Password1!"}),
		"400000000000000012": s.AddUser(User{LoginName: "user3", DisplayName: "User 3", Password: "Password1!"}),
	} {
		if wrong := r.bind(name, id); wrong != "" {
			t.Fatal(wrong)
		}
	}
	return r
}

// bind says that something of the recording is something of the double; it returns what is wrong with that.
func (r *replay) bind(recorded, actual string) string {
	known, ok := r.to[recorded]
	other, taken := r.from[actual]
	switch {
	case ok && known == actual:
		return ""
	case ok:
		return fmt.Sprintf("%s was %s, and is %s", recorded, known, actual)
	case taken:
		return fmt.Sprintf("%s is %s, and so is %s", actual, other, recorded)
	}
	r.to[recorded], r.from[actual] = actual, recorded
	return ""
}

// mapped puts the double's IDs, dates and tokens into a text of the recording.
func (r *replay) mapped(text string) string {
	known := func(key func(string) string) func(string) string {
		return func(found string) string {
			if actual, ok := r.to[key(found)]; ok {
				return actual
			}
			return found
		}
	}
	same := func(found string) string { return found }
	text = tokens.ReplaceAllStringFunc(text, known(same))
	text = idForm.ReplaceAllStringFunc(text, known(same))
	return dateForm.ReplaceAllStringFunc(text, known(instant))
}

// instant is a date in one form, since events have others than sessions.
func instant(text string) string {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return text
	}
	return at.Format("2006-01-02T15:04:05.000000000Z")
}

// text compares two texts.
func (r *replay) text(recorded, actual string) string {
	recorded, actual = strings.ReplaceAll(recorded, "\u00a0", " "), strings.ReplaceAll(actual, "\u00a0", " ")
	if found := tokens.FindStringSubmatch(recorded); found != nil {
		if form := []string{strconv.Itoa(len(actual)), strconv.Itoa(strings.Count(actual, ".") + 1)}; !slices.Equal(form, found[1:]) {
			return fmt.Sprintf("a token has %v characters and parts, not %v", form, found[1:])
		}
		return r.bind(recorded, actual)
	}
	switch {
	case idForm.FindString(recorded) == recorded && recorded != "":
		if len(actual) != len(recorded) {
			return fmt.Sprintf("an ID is %q", actual)
		}
		return r.bind(recorded, actual)
	case dateForm.FindString(recorded) == recorded && recorded != "":
		if dateForm.FindString(actual) != actual {
			return fmt.Sprintf("a date is %q", actual)
		}
		return r.bind(instant(recorded), instant(actual))
	case recorded == "boss":
		recorded = "admin"
	case recorded == "BCRYPT-HASH":
		if !strings.HasPrefix(actual, "$2a$") || len(actual) != 60 {
			return fmt.Sprintf("a hash is %q", actual)
		}
		return ""
	case strings.HasPrefix(recorded, "http://zitadel.test"):
		recorded = r.s.URL
	}
	if recorded != actual {
		return fmt.Sprintf("%q is %q", recorded, actual)
	}
	return ""
}

// value compares two values of JSON, and returns what is wrong.
func (r *replay) value(at string, recorded, actual any) []string {
	switch want := recorded.(type) {
	case map[string]any:
		got, ok := actual.(map[string]any)
		if !ok {
			break
		}
		var wrong []string
		for _, key := range sortedKeys(want) {
			if _, ok := got[key]; !ok {
				wrong = append(wrong, fmt.Sprintf("%s.%s is missing", at, key))
				continue
			}
			wrong = append(wrong, r.value(at+"."+key, want[key], got[key])...)
		}
		for _, key := range sortedKeys(got) {
			if _, ok := want[key]; !ok {
				wrong = append(wrong, fmt.Sprintf("%s.%s is too much: %v", at, key, got[key]))
			}
		}
		return wrong
	case []any:
		got, ok := actual.([]any)
		if !ok || len(got) != len(want) {
			break
		}
		var wrong []string
		for i := range want {
			wrong = append(wrong, r.value(fmt.Sprintf("%s[%d]", at, i), want[i], got[i])...)
		}
		return wrong
	case string:
		got, ok := actual.(string)
		if !ok {
			break
		}
		if wrong := r.text(want, got); wrong != "" {
			return []string{at + ": " + wrong}
		}
		return nil
	default:
		if want == actual {
			return nil
		}
	}
	return []string{fmt.Sprintf("%s: %v is %v", at, recorded, actual)}
}

// body compares two bodies, by value if the recorded one is JSON.
func (r *replay) body(recorded, actual string) []string {
	var want, got any
	if json.Unmarshal([]byte(recorded), &want) != nil {
		if recorded != actual {
			return []string{fmt.Sprintf("the body is %q, not %q", actual, recorded)}
		}
		return nil
	}
	if err := json.Unmarshal([]byte(actual), &got); err != nil {
		return []string{fmt.Sprintf("the body is %q: %v", actual, err)}
	}
	return r.value("", want, got)
}

// header compares headers, but for those of the connection and of the body's length.
func header(recorded [][2]string, actual http.Header) []string {
	ours := []string{"Connection", "Content-Length", "Transfer-Encoding", "Date"}
	want := http.Header{}
	for _, h := range recorded {
		if !slices.Contains(ours, h[0]) {
			want[h[0]] = append(want[h[0]], h[1])
		}
	}
	var wrong []string
	for name, values := range want {
		if !slices.Equal(values, actual[name]) {
			wrong = append(wrong, fmt.Sprintf("header %s is %q, not %q", name, actual[name], values))
		}
	}
	for name, values := range actual {
		if _, ok := want[name]; !ok && !slices.Contains(ours, name) {
			wrong = append(wrong, fmt.Sprintf("header %s is too much: %q", name, values))
		}
	}
	return wrong
}

// requestBody returns a request's body as it was sent.
func (r *replay) requestBody(x exchange) []byte {
	if x.Request.Body == nil {
		return nil
	}
	text := restored(r.t, x.Name, *x.Request.Body)
	if coded, ok := strings.CutPrefix(text, "b64/hex:"); ok {
		data, err := hex.DecodeString(coded)
		if err != nil {
			r.t.Fatal(err)
		}
		return data
	}
	return []byte(r.mapped(text))
}
