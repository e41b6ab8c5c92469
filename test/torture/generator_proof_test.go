package torture

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestGenerator shows that the generator tells right answers from wrong ones, and one reason of a refusal from another.
func TestGenerator(t *testing.T) {
	s := stored{n: 10}
	session := func(id, label string) string {
		doc := map[string]any{
			"id": id, "metadata": metadata(label, 1), "userAgent": map[string]any{"fingerprintId": agentOf(s.user(0))},
			"factors": map[string]any{"user": map[string]any{"id": s.user(0)}},
		}
		text, err := json.Marshal(map[string]any{"session": doc})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	const busy, away = `{"message":"too many requests at a time; try again"}`, `{"message":"the session store is unavailable"}`
	for _, f := range []struct {
		name, body string
		status     int
		retry      string
		want       string // right, shed, late, wrong
	}{
		{"the session", session(s.id(0), s.id(0)), 200, "", "1 0 0 0"},
		{"another session", session(s.id(1), s.id(1)), 200, "", "0 0 0 1"},
		{"another session's content", session(s.id(0), s.id(1)), 200, "", "0 0 0 1"},
		{"no session", `{}`, 200, "", "0 0 0 1"},
		{"no JSON", `{`, 200, "", "0 0 0 1"},
		{"not found", `{}`, 404, "", "0 0 0 1"},
		{"unauthorized", `{}`, 401, "", "0 0 0 1"},
		{"a bug", `{}`, 500, "", "0 0 0 1"},
		{"shed", busy, 503, "1", "0 1 0 0"},
		{"shed for ever", busy, 503, "", "0 0 0 1"},
		{"shed until now", busy, 503, "0", "0 0 0 1"},
		{"late", away, 503, "1", "0 0 1 0"},
		{"late for ever", away, 503, "", "0 0 0 1"},
		{"somebody else's 503", "Service Unavailable", 503, "1", "0 0 0 1"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if f.retry != "" {
				w.Header().Set("Retry-After", f.retry)
			}
			w.WriteHeader(f.status)
			fmt.Fprint(w, f.body)
		}))
		g := newGenerator(t, &sidecar{api: strings.TrimPrefix(server.URL, "http://")}, s.get)
		x := outcome{end: time.Now().Add(time.Hour)}
		g.ask(0, time.Now(), &x)
		if got := fmt.Sprint(x.Right, x.Shed, x.Late, x.Wrong); got != f.want {
			t.Errorf("%s: right, shed, late, wrong are %s, not %s: %v", f.name, got, f.want, x.faults)
		}
		server.Close()
		before := x.Wrong
		g.ask(0, time.Now(), &x)
		if x.Wrong != before+1 {
			t.Errorf("%s, and then nobody there: %v", f.name, x.faults)
		}
	}
}

// TestGeneratorCountsFromWhenDue shows that a question that had to wait for the one before has taken that long, too.
func TestGeneratorCountsFromWhenDue(t *testing.T) {
	const rate, held = 20, 150 * time.Millisecond // the second is due after 50 ms
	first := make(chan struct{}, 1)
	first <- struct{}{}
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		select {
		case <-first:
			hold(held)
		default:
		}
	}))
	defer server.Close()
	right := func(string) error { return nil }
	g := newGenerator(t, &sidecar{api: strings.TrimPrefix(server.URL, "http://")}, func(int) question { return question{method: http.MethodGet, path: "/", right: right} })
	x := g.open(rate, 2*time.Second/rate, 1)
	if least := held - time.Second/rate; len(x.took) != 2 || x.took[0] < least {
		t.Errorf("two questions have taken %v, not %v at least; %v", x.took, least, x.faults)
	}
}
