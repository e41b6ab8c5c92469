package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/load"
)

var testData = Dataset{Sessions: 1000, Newest: time.Date(2026, 11, 1, 12, 0, 0, 123000, time.UTC)}

func testConfig() Config {
	return Config{Data: testData, Host: "h:1", Key: "k", Zipf: 0.99, Offset: -1, Limit: 20}
}

// search1000 is a model of the program under test: the dataset, and its searches
// done by looking at every session.
func search1000(t *testing.T, body []byte) []byte {
	t.Helper()
	var q struct {
		Query struct {
			Offset string
			Limit  int
			Asc    bool
		}
		Queries []struct {
			UserIDQuery       *struct{ ID string }
			CreatorQuery      *struct{ ID string }
			IDsQuery          *struct{ IDs []string }
			UserAgentQuery    *struct{ FingerprintID string }
			CreationDateQuery *struct {
				CreationDate time.Time
				Method       string
			}
			ExpirationDateQuery *struct {
				ExpirationDate time.Time
				Method         string
			}
		}
	}
	if err := json.Unmarshal(body, &q); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	compare := func(d, bound time.Time, method string) bool {
		switch strings.TrimPrefix(method, "TIMESTAMP_QUERY_METHOD_") {
		case "GREATER_OR_EQUALS":
			return !d.Before(bound)
		case "LESS_OR_EQUALS":
			return !d.After(bound)
		case "LESS":
			return d.Before(bound)
		}
		t.Fatalf("method %q", method)
		return false
	}
	var found []int
	d := testData
	for i := range d.Sessions {
		ok := true
		for _, p := range q.Queries {
			switch {
			case p.UserIDQuery != nil:
				ok = ok && p.UserIDQuery.ID == UserID(d.userOf(i))
			case p.CreatorQuery != nil:
				ok = ok && p.CreatorQuery.ID == creatorID(i)
			case p.IDsQuery != nil:
				ok = ok && slices.Contains(p.IDsQuery.IDs, SessionID(i))
			case p.UserAgentQuery != nil:
				ok = ok && p.UserAgentQuery.FingerprintID == d.fingerprint(d.userOf(i), d.device(i))
			case p.CreationDateQuery != nil:
				ok = ok && compare(d.Created(i), p.CreationDateQuery.CreationDate, p.CreationDateQuery.Method)
			case p.ExpirationDateQuery != nil:
				ok = ok && compare(d.expires(i), p.ExpirationDateQuery.ExpirationDate, p.ExpirationDateQuery.Method)
			default:
				t.Fatalf("no predicate: %s", body)
			}
		}
		if ok {
			found = append(found, i)
		}
	}
	if !q.Query.Asc {
		slices.Reverse(found)
	}
	total := len(found)
	var offset int
	if _, err := fmt.Sscan(q.Query.Offset, &offset); err != nil {
		t.Fatal(err)
	}
	found = found[min(offset, total):]
	found = found[:min(q.Query.Limit, len(found))]
	answer := fmt.Appendf(nil, `{"details":{"totalResult":"%d"},"sessions":[`, total)
	for k, i := range found {
		if k > 0 {
			answer = append(answer, ',')
		}
		answer = append(answer, bytes.TrimSpace(d.AppendSession(nil, i))...)
	}
	return append(answer, "]}"...)
}

// split returns a request's path and body, and checks its form.
func split(t *testing.T, request []byte) (method, path string, body []byte) {
	t.Helper()
	head, body, ok := bytes.Cut(request, []byte("\r\n\r\n"))
	lines := strings.Split(string(head), "\r\n")
	var version string
	if _, err := fmt.Sscan(lines[0], &method, &path, &version); err != nil || !ok || version != "HTTP/1.1" {
		t.Fatalf("%q: %v", request, err)
	}
	for _, want := range []string{"Host: h:1", "Authorization: Bearer k", "Content-Type: application/json"} {
		if !slices.Contains(lines, want) {
			t.Fatalf("%q: no %s", request, want)
		}
	}
	if len(body) > 0 && !slices.Contains(lines, fmt.Sprintf("Content-Length: %d", len(body))) {
		t.Fatalf("%q: a body of %d bytes", request, len(body))
	}
	return method, path, body
}

func TestSearches_KnowTheTruth(t *testing.T) {
	for _, name := range []string{"search-user", "search-mixed", "search-admin"} {
		s, err := New(name, testConfig())
		if err != nil {
			t.Fatal(err)
		}
		c := s.Client(0, load.NewRand(1, 0))
		for range 150 {
			request, want := c.Next(nil)
			method, path, body := split(t, request)
			if method != "POST" || path != SearchPath || want != 200 {
				t.Fatalf("%s: %s %s, %d", name, method, path, want)
			}
			right := search1000(t, body)
			if err := c.Check(&load.Answer{Body: right}); err != nil {
				t.Fatalf("%s: %s: %v", name, body, err)
			}
			if err := c.Deep()(right); err != nil {
				t.Fatalf("%s: %s: %v", name, body, err)
			}
			wrong := bytes.Replace(right, []byte(`"totalResult":"`), []byte(`"totalResult":"9`), 1)
			if c.Check(&load.Answer{Body: wrong}) == nil {
				t.Fatalf("%s: a wrong total is right", name)
			}
			if i := bytes.Index(right, []byte(`{"id":"`)); i > 0 {
				wrong = append(bytes.Clone(right[:i]), "]}"...)
				if c.Check(&load.Answer{Body: wrong}) == nil || c.Deep()(wrong) == nil {
					t.Fatalf("%s: an empty page is right", name)
				}
			}
		}
	}
}

func TestGets_KnowTheTruth(t *testing.T) {
	for _, name := range []string{"get-hot", "cold-start"} {
		s, err := New(name, testConfig())
		if err != nil {
			t.Fatal(err)
		}
		c := s.Client(0, load.NewRand(1, 0))
		asked := map[string]bool{}
		for range testData.Sessions {
			request, _ := c.Next(nil)
			_, path, _ := split(t, request)
			id := strings.TrimPrefix(path, "/v2/sessions/")
			asked[id] = true
			i := c.(*getter).current
			if id != SessionID(i) {
				t.Fatalf("asked for %s, not %s", id, SessionID(i))
			}
			right := fmt.Appendf(nil, `{"session":%s}`, bytes.TrimSpace(testData.AppendSession(nil, i)))
			if err := c.Check(&load.Answer{Body: right}); err != nil {
				t.Fatal(err)
			}
			if err := c.Deep()(right); err != nil {
				t.Fatal(err)
			}
			other := fmt.Appendf(nil, `{"session":%s}`, bytes.TrimSpace(testData.AppendSession(nil, (i+1)%testData.Sessions)))
			if c.Check(&load.Answer{Body: other}) == nil || c.Deep()(other) == nil {
				t.Fatal("another session is right")
			}
		}
		if cold, ok := s.(coldStart); ok {
			if len(asked) != testData.Sessions || cold.Invalid() != "" {
				t.Errorf("%d of %d sessions, %q", len(asked), testData.Sessions, cold.Invalid())
			}
			c.Next(nil)
			if cold.Invalid() == "" {
				t.Error("a session was asked for twice, and nothing is said")
			}
		}
	}
}

func TestLoginStorm_SetsWhatItCreated(t *testing.T) {
	c := newLoginStorm(testConfig()).Client(0, load.NewRand(1, 0))
	created := func(id string) *load.Answer {
		token := id + "." + strings.Repeat("x", 43)
		return &load.Answer{Body: []byte(`{"details":{"sequence":"2"},"sessionId":"` + id + `","sessionToken":"` + token + `"}`)}
	}
	request, want := c.Next(nil)
	method, path, body := split(t, request)
	if method != "POST" || path != "/v2/sessions" || want != 201 || !json.Valid(body) {
		t.Fatalf("%s %s %s", method, path, body)
	}
	if err := c.Check(created("7")); err != nil {
		t.Fatal(err)
	}
	request, want = c.Next(nil)
	if method, path, body = split(t, request); method != "PATCH" || path != "/v2/sessions/7" || want != 200 || !json.Valid(body) {
		t.Fatalf("%s %s %s", method, path, body)
	}
	if err := c.Check(created("7")); err != nil {
		t.Fatal(err)
	}
	if request, _ = c.Next(nil); !bytes.HasPrefix(request, []byte("POST")) {
		t.Fatalf("%s", request)
	}
	if c.Check(&load.Answer{Body: []byte(`{"sessionId":"8","sessionToken":"9.x"}`)}) == nil {
		t.Error("the token of another session is right")
	}
}

func TestDataset_Numbers(t *testing.T) {
	d := testData
	for user := range d.Users() {
		for k := range PerUser {
			if i := d.OfUser(user, k); d.userOf(i) != user || sessionNumber(SessionID(i)) != i || i >= d.Sessions {
				t.Fatalf("user %d, session %d: %d", user, k, i)
			}
		}
	}
	if !d.Created(d.Sessions - 1).Equal(d.Newest) {
		t.Errorf("the newest is of %v", d.Created(d.Sessions-1))
	}
	for _, id := range []string{"", "18826", "28826" + strings.Repeat("0", 14), "18826" + strings.Repeat("x", 14)} {
		if sessionNumber(id) != -1 {
			t.Errorf("%q is a session", id)
		}
	}
	var b bytes.Buffer
	if err := d.Write(t.Context(), &b, func(int) {}); err != nil {
		t.Fatal(err)
	}
	for i, line := range bytes.Split(bytes.TrimSpace(b.Bytes()), []byte("\n")) {
		var s SessionJSON
		if err := json.Unmarshal(line, &s); err != nil {
			t.Fatal(err)
		}
		if err := s.isSession(d, i); err != nil {
			t.Fatal(err)
		}
	}
}

// sessionNumber is the inverse of SessionID, −1 for other IDs.
func sessionNumber(id string) int {
	if len(id) != len(sessionPrefix)+sessionDigits || id[:len(sessionPrefix)] != sessionPrefix {
		return -1
	}
	i, err := strconv.Atoi(id[len(sessionPrefix):])
	if err != nil {
		return -1
	}
	return i
}
