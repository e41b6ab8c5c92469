package experiment

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/cloakroom-dev/cloakroom/bench/load"
	"github.com/cloakroom-dev/cloakroom/bench/result"
	"github.com/cloakroom-dev/cloakroom/bench/scenario"
	"github.com/cloakroom-dev/cloakroom/bench/source"
)

// fakeNginx is a program, and what stands before another one, in which a deleted
// session ends after some more requests.
type fakeNginx struct {
	mu      sync.Mutex
	created int
	left    int // requests that the last deleted session is still let pass; −1 is for ever
	deleted bool
	told    []string

	still int // left of a session that is deleted
	fails int // requests for a deleted session that are answered as nginx does when it cannot ask
	hits  int
}

func (g *fakeNginx) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch r.Method + " " + r.URL.Path {
	case "POST /v2/sessions":
		g.created++
		g.deleted = false
		w.WriteHeader(http.StatusCreated)
		_, _ = fmt.Fprintf(w, `{"sessionId":"%d","sessionToken":"%d.%s"}`, g.created, g.created, strings.Repeat("x", 43))
	case fmt.Sprintf("DELETE /v2/sessions/%d", g.created):
		g.deleted, g.left = true, g.still
		_, _ = io.WriteString(w, "{}")
	case "GET /metrics":
		_, _ = fmt.Fprintf(w, "cloakroom_near_hits_total{kind=\"session\"} %d\n", g.hits)
	case "POST /stall", "POST /cut":
		g.told = append(g.told, r.URL.Path)
		_, _ = io.WriteString(w, `{"connections":1}`)
	case "GET /":
		switch {
		case r.Header.Get("Authorization") != fmt.Sprintf("Bearer %d.%s", g.created, strings.Repeat("x", 43)):
			w.WriteHeader(http.StatusBadRequest)
		case g.deleted && g.left == 0:
			w.WriteHeader(http.StatusUnauthorized)
		case g.deleted && g.fails > 0:
			g.fails--
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusInternalServerError)
		case g.deleted:
			g.left--
		default:
			g.hits++
		}
	default:
		http.NotFound(w, r)
	}
}

// logOut runs logout-nginx against g for a moment.
func logOut(t *testing.T, g *fakeNginx, bound float64, silenced bool) *result.Run {
	t.Helper()
	return logOutOf(t, g, "logout-nginx", sessionLogins{}, bound, silenced)
}

// logOutOf is logOut of logins of one kind.
func logOutOf(t *testing.T, g http.Handler, name string, of logins, bound float64, silenced bool) *result.Run {
	t.Helper()
	server := httptest.NewServer(g)
	defer server.Close()
	e, err := load.ParseEndpoint(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	w := &logoutNginx{
		source: &source.Source{Target: e, Config: scenario.Config{Host: e.Host, Key: "k"}, Checking: true, Flags: source.Flags{Scenario: name}},
		flags:  &Flags{workers: 1, bound: bound}, nginx: e, admin: e, logins: of,
	}
	if silenced {
		w.proxy = e
	}
	r := &result.Run{Figures: map[string]float64{}}
	if err := w.run(t.Context(), 0.05, r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestLogoutNginx_CountsFirstRefusals(t *testing.T) {
	r := logOut(t, &fakeNginx{}, 10, false)
	rounds := r.Figures["revocation_count"]
	if rounds == 0 || r.Figures["refused_at_the_first_request"] != rounds || r.Wrong != 0 || r.Figures["last_let_pass_ms"] != 0 {
		t.Errorf("%v, %d wrong", r.Figures, r.Wrong)
	}
	g := &fakeNginx{still: 2, fails: 1}
	r = logOut(t, g, 10, true)
	rounds = r.Figures["revocation_count"]
	if rounds == 0 || r.Figures["refused_at_the_first_request"] != 0 || r.Wrong != 0 || r.Answered != uint64(4*rounds)+1 || r.Figures["gateway_errors"] != 1 {
		t.Errorf("%v, %d wrong", r.Figures, r.Wrong)
	}
	if want := strings.Repeat("/stall /cut ", int(rounds)); strings.Join(g.told, " ")+" " != want {
		t.Errorf("told %v", g.told)
	}
}

func TestLogoutNginx_LaterThanTheBoundIsWrong(t *testing.T) {
	r := logOut(t, &fakeNginx{still: -1}, 0.01, false)
	if rounds := r.Figures["revocation_count"]; rounds == 0 || float64(r.Wrong) != rounds || !strings.Contains(r.FirstError, "was let pass") {
		t.Errorf("%v, %d wrong, %q", r.Figures, r.Wrong, r.FirstError)
	}
}

func TestLogoutNginx_NginxIsMissing(t *testing.T) {
	t.Setenv("PATH", "")
	s := &source.Source{Flags: source.Flags{Scenario: "logout-nginx"}, Checking: true}
	_, _, err := newExperiment(t.Context(), s, &Flags{workers: 1, count: scenario.PerUser, bound: 1, other: "http://h:1", otherAdmin: "http://h:2"}, nil)
	if err == nil || err.Error() != "nginx is not on PATH" {
		t.Error(err)
	}
	_, _, err = newExperiment(t.Context(), s, &Flags{workers: 2, count: scenario.PerUser, bound: 1, other: "http://h:1", otherAdmin: "http://h:2", proxy: "http://h:3"}, nil)
	if err == nil || !strings.Contains(err.Error(), "--workers") {
		t.Error(err)
	}
}
