package measure

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/baseline"
	"github.com/cloakroom-dev/cloakroom/bench/issuer"
	"github.com/cloakroom-dev/cloakroom/bench/peers"
	"github.com/cloakroom-dev/cloakroom/bench/report"
	"github.com/cloakroom-dev/cloakroom/bench/result"
	"github.com/cloakroom-dev/cloakroom/bench/scenario"
	"github.com/cloakroom-dev/cloakroom/bench/testserver"
)

// TestMain lets this program be a baseline, as bench is one for itself.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 || os.Args[1] != "baseline" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := baseline.Command(ctx, os.Args[2:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// cloakroom answers Gets, searches by user, and verifies of JWTs as Cloakroom does.
func cloakroom(t *testing.T, d scenario.Dataset) string {
	t.Helper()
	session := func(i int) string { return strings.TrimSpace(string(d.AppendSession(nil, i))) }
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+scenario.SessionPath+"{id}", func(w http.ResponseWriter, r *http.Request) {
		for i := range d.Sessions {
			if scenario.SessionID(i) == r.PathValue("id") {
				_, _ = fmt.Fprintf(w, `{"session":%s}`, session(i))
				return
			}
		}
		http.NotFound(w, r)
	})
	mux.HandleFunc("POST "+scenario.SearchPath, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		for user := range d.Users() {
			if !strings.Contains(string(body), scenario.UserID(user)) {
				continue
			}
			var all []string
			for k := range scenario.PerUser {
				all = append([]string{session(d.OfUser(user, k))}, all...)
			}
			_, _ = fmt.Fprintf(w, `{"details":{"totalResult":"%d"},"sessions":[%s]}`, len(all), strings.Join(all, ","))
		}
	})
	mux.HandleFunc("GET "+scenario.VerifyPath, func(w http.ResponseWriter, r *http.Request) {
		c, err := issuer.ClaimsOf(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		session, user := issuer.Name+":"+c.SessionID, issuer.Name+":"+c.Subject
		w.Header().Set("X-Session-Id", session)
		w.Header().Set("X-Session-User", user)
		_, _ = fmt.Fprintf(w, `{"active":true,"subject":"%[2]s","sub":"%[2]s","id":"%[1]s","expires_at":"%[3]s","authenticated_at":"%[4]s",`+
			`"extra":{"session_id":"%[1]s","login_name":"%[5]s","factors":["password","totp"],"exp":%[6]d}}`,
			session, user, c.ExpiresAt.UTC().Format(time.RFC3339), time.Unix(c.AuthTime, 0).UTC().Format(time.RFC3339), c.Username, c.ExpiresAt.Unix())
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// One run has Cloakroom, a bare server, and the gates.
func TestPeers_GatesAreMeasuredSideBySide(t *testing.T) {
	data := scenario.Dataset{Sessions: 5, Newest: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)}
	target, dir := cloakroom(t, data), testserver.Issuer(t, 20)
	out := filepath.Join(t.TempDir(), "gates")
	args := []string{
		"--target", target, "--peers", "baseline," + strings.Join(peers.Gates(), ","), "--sessions", "5", "--scenario", "verify-jwt", "--issuer", dir, "--jwt-alg", "ES256",
		"--jwts", "20", "--rounds", "1", "--seconds", "0.2", "--warmup", "0", "--connections", "2", "--out", out,
	}
	var stdout strings.Builder
	if err := Peers(t.Context(), args, &stdout, io.Discard); err != nil {
		t.Fatal(err, stdout.String())
	}
	r, err := result.Read(out + ".json")
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Runs) != 2+len(peers.Gates()) {
		t.Errorf("%d runs", len(r.Runs))
	}
	for i := range r.Runs {
		if run := &r.Runs[i]; run.Answered == 0 || run.Errors+run.Wrong > 0 || run.Invalid != "" {
			t.Errorf("%s: %d answered, %d errors, %d wrong, %q; %s", run.Peer, run.Answered, run.Errors, run.Wrong, run.Invalid, run.FirstError)
		}
	}
}

// A bare server may be shown tokens twice; a program that may know them may not.
func TestPairs_ColdTokens(t *testing.T) {
	data := scenario.Dataset{Sessions: 5, Newest: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)}
	target, dir := cloakroom(t, data), testserver.Issuer(t, 150)
	args := []string{
		"--a", target, "--b", "baseline", "--sessions", "5", "--scenario", "verify-jwt-cold", "--issuer", dir, "--jwt-alg", "ES256",
		"--pairs", "1", "--seconds", "0.2", "--warmup", "0", "--connections", "2",
	}
	var stdout strings.Builder
	err := Pairs(t.Context(), args, &stdout, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "some were known") {
		t.Errorf("%v\n%s", err, stdout.String())
	}
}

func TestPeers_AreMeasuredSideBySide(t *testing.T) {
	data := scenario.Dataset{Sessions: 50, Newest: time.Date(2026, 11, 1, 12, 0, 0, 123_000, time.UTC)}
	target, own, others := cloakroom(t, data), testserver.Redis(t), testserver.Redis(t)
	out := filepath.Join(t.TempDir(), "peers")
	args := []string{
		"--target", target, "--near", target, "--redis", own, "--peers-redis", others, "--peers", "evalsha,rueidis-cached", "--sessions", "50",
		"--rounds", "2", "--seconds", "0.1", "--warmup", "0", "--connections", "2,1", "--out", out,
	}
	var stdout strings.Builder
	if err := Peers(t.Context(), args, &stdout, io.Discard); err != nil {
		t.Fatal(err, stdout.String())
	}
	for _, want := range []string{
		"2 connections, medians", "1 connections, medians", "| cloakroom by it | cloakroom-near by it |",
		"\n| cloakroom |", "\n| cloakroom-near |", "\n| evalsha |", "\n| rueidis-cached |",
	} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("no %q in\n%s", want, stdout.String())
		}
	}
	r, err := result.Read(out + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	answered := map[string]uint64{}
	for i := range r.Runs {
		run := &r.Runs[i]
		answered[run.Peer] += run.Answered
		order = append(order, fmt.Sprintf("%s %d", run.Peer, run.Connections))
		if run.Errors+run.Wrong > 0 {
			t.Errorf("%s: %d errors, %d wrong; %s", run.Label, run.Errors, run.Wrong, run.FirstError)
		}
		if run.Peer == "evalsha" && run.Figures[result.StoreBytes] < 100 {
			t.Errorf("%s: %v", run.Label, run.Figures)
		}
	}
	for peer, n := range answered {
		if n == 0 {
			t.Errorf("%s answered nothing", peer)
		}
	}
	const want = "cloakroom 2,cloakroom-near 2,evalsha 2,rueidis-cached 2,cloakroom-near 2,evalsha 2,rueidis-cached 2,cloakroom 2," +
		"cloakroom 1,cloakroom-near 1,evalsha 1,rueidis-cached 1,cloakroom-near 1,evalsha 1,rueidis-cached 1,cloakroom 1"
	if got := strings.Join(order, ","); got != want {
		t.Errorf("measured in the order\n%s, want\n%s", got, want)
	}
	if err := report.Command([]string{out + ".json", "--out=-"}, io.Discard, io.Discard); err != nil {
		t.Error(err)
	}
}

func TestPeers_RefusesBadArguments(t *testing.T) {
	target, redis := cloakroom(t, scenario.Dataset{Sessions: 5, Newest: time.Now()}), testserver.Redis(t)
	f := func(want string, args ...string) {
		t.Helper()
		args = append([]string{"--target", target, "--sessions", "5", "--peers", "go-redis", "--peers-redis", redis}, args...)
		if err := Peers(t.Context(), args, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", args, err, want)
		}
	}
	f(`unknown peer "memcached"`, "--peers", "evalsha,memcached")
	f("not a list of positive numbers", "--connections", "8,,1")
	f("not a list of positive numbers", "--connections", "8,8")
	f("not a list of positive numbers", "--connections", "0")
	f("--rounds must be at least 1", "--rounds", "0")
	f("must be another Redis", "--redis", redis)
	f("--postgres is required", "--peers", "postgres")
	f("know only the scenarios", "--scenario", "search-mixed")
	f("know only the scenarios", "--scenario", "verify-jwt")
	f("introspection does not know", "--peers", "introspection")
	f("needs --issuer", "--peers", "introspection", "--scenario", "verify-jwt")
	f("does not have 10 sessions", "--sessions", "10")
}
