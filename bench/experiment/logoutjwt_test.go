package experiment

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/cloakroom-dev/cloakroom/bench/issuer"
	"github.com/cloakroom-dev/cloakroom/bench/load"
	"github.com/cloakroom-dev/cloakroom/bench/result"
	"github.com/cloakroom-dev/cloakroom/bench/scenario"
	"github.com/cloakroom-dev/cloakroom/bench/source"
	"github.com/cloakroom-dev/cloakroom/bench/testserver"
)

// fakeJWTs is a program that takes JWTs and logout tokens, and what stands before another one, in which
// a login ends after some more requests.
type fakeJWTs struct {
	mu    sync.Mutex
	still int            // requests that are let pass after an end; −1 is for ever
	left  map[string]int // of sessions that have ended
	known map[string]bool
	reads int
}

func (g *fakeJWTs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch r.Method + " " + r.URL.Path {
	case "POST /backchannel-logout":
		c, err := issuer.ClaimsOf(r.PostFormValue("logout_token"))
		if err != nil || c.SessionID == "" || r.Header.Get("Authorization") != "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		g.left[c.SessionID] = g.still
	case "GET /metrics":
		_, _ = fmt.Fprintf(w, "cloakroom_near_hits_total{kind=\"session\"} 0\ncloakroom_near_link_up 1\ncloakroom_batch_calls_total{batch=\"reads\"} %d\n", g.reads)
	case "GET /", "GET " + scenario.VerifyPath:
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		c, err := issuer.ClaimsOf(token)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if !g.known[token] {
			g.known[token] = true
			g.reads++
		}
		if left, ended := g.left[c.SessionID]; ended {
			g.left[c.SessionID]--
			if left == 0 {
				w.WriteHeader(http.StatusUnauthorized)
			}
		}
		_, _ = io.WriteString(w, "{}")
	default:
		http.NotFound(w, r)
	}
}

func newFakeJWTs(still int) *fakeJWTs {
	return &fakeJWTs{still: still, left: map[string]int{}, known: map[string]bool{}}
}

func jwtLoginsOf(t *testing.T, name string) logins {
	t.Helper()
	s := &source.Source{Flags: source.Flags{Scenario: name, Issuer: testserver.Issuer(t, 1), Algorithm: "ES256"}}
	l, err := newLogins(s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLogoutJWT_AsksUntilItIsRefused(t *testing.T) {
	g := newFakeJWTs(2)
	server := httptest.NewServer(g)
	defer server.Close()
	e, err := load.ParseEndpoint(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	w := &logout{
		source: &source.Source{Target: e, Config: scenario.Config{Host: e.Host}, Flags: source.Flags{Scenario: logoutJWTName}},
		flags:  &Flags{workers: 1}, logins: jwtLoginsOf(t, logoutJWTName), other: e,
	}
	r := &result.Run{Figures: map[string]float64{}}
	if err := w.run(t.Context(), 0.05, r); err != nil {
		t.Fatal(err)
	}
	rounds := r.Figures["revocation_count"]
	if rounds == 0 || r.Wrong != 0 || r.Answered != uint64(4*rounds) || r.Figures["logout_count"] != rounds || float64(len(g.left)) != rounds {
		t.Errorf("%v, %d answers, %d wrong", r.Figures, r.Answered, r.Wrong)
	}
}

func TestLogoutJWTNginx_WaitsForACopy(t *testing.T) {
	g := newFakeJWTs(0)
	r := logOutOf(t, g, logoutJWTNginxName, jwtLoginsOf(t, logoutJWTNginxName), 10, false)
	rounds := r.Figures["revocation_count"]
	if rounds == 0 || r.Figures["refused_at_the_first_request"] != rounds || r.Wrong != 0 || float64(g.reads) != rounds {
		t.Errorf("%v, %d wrong, %d reads", r.Figures, r.Wrong, g.reads)
	}
	r = logOutOf(t, newFakeJWTs(-1), logoutJWTNginxName, jwtLoginsOf(t, logoutJWTNginxName), 0.01, false)
	if rounds := r.Figures["revocation_count"]; rounds == 0 || float64(r.Wrong) != rounds || !strings.Contains(r.FirstError, "was let pass") {
		t.Errorf("%v, %d wrong, %q", r.Figures, r.Wrong, r.FirstError)
	}
}

func TestLogoutJWT_NeedsAnIssuer(t *testing.T) {
	for _, f := range []source.Flags{
		{Scenario: logoutJWTName},
		{Scenario: logoutJWTName, Issuer: t.TempDir()},
		{Scenario: logoutJWTNginxName, Issuer: testserver.Issuer(t, 1), Algorithm: "none"},
	} {
		if _, err := newLogins(&source.Source{Flags: f}); err == nil {
			t.Errorf("%+v: no error", f)
		}
	}
}
