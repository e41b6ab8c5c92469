package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/oidc/oidctest"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
)

// The program in front of a ZITADEL: what is created through it is verified at once, an account that changes is used, and
// nothing secret is in the log. (I6)
func TestServe_InFrontOfZITADEL(t *testing.T) {
	z := zitadeltest.Start(t)
	user := zitadeltest.User{ID: z.NewID(), Password: "Password1!"}
	z.AddUser(user)
	account := testfile.Write(t, "no-token-of-zitadel")
	p := launch(t, append([]string{
		"serve", "--redis-url=memory:", "--upstream-url", z.URL, "--upstream-token-file", account, "--verify-accept=id-token-pair,session", "--upstream-max-age=1s",
		"--upstream-event-key-file", testfile.Write(t, "a-signing-key"),
	}, quick()...))
	api, admin := p.ready(t)
	caller := []string{"Authorization", "Bearer " + z.Login.Token}
	body := want(t, http.StatusCreated, "POST", api+"/v2/sessions", `{"checks":{"user":{"userId":"`+user.ID+`"},"password":{"password":"Password1!"}}}`, caller...)
	var made struct{ SessionID, SessionToken string }
	if err := json.Unmarshal([]byte(body), &made); err != nil {
		t.Fatal(err)
	}
	pair := []string{"Authorization", "Bearer " + made.SessionID + ":" + made.SessionToken}
	// The account is none yet.
	want(t, http.StatusServiceUnavailable, "GET", api+"/verify", "", pair...)
	if err := os.WriteFile(account, []byte(z.Login.Token), 0o600); err != nil {
		t.Fatal(err)
	}
	p.logged(t, "credentials for ZITADEL reloaded", 1)
	want(t, http.StatusOK, "GET", api+"/verify", "", pair...)
	want(t, http.StatusOK, "DELETE", api+"/v2/sessions/"+made.SessionID, "", caller...)
	want(t, http.StatusUnauthorized, "GET", api+"/verify", "", pair...)
	_, elsewhere := z.CreateSession(zitadeltest.Session{UserID: user.ID, Password: true})
	want(t, http.StatusOK, "GET", api+"/verify", "", "Authorization", "Bearer "+elsewhere)
	metrics := want(t, http.StatusOK, "GET", admin+"/metrics", "")
	if !strings.Contains(metrics, "cloakroom_upstream_probes_total 5\n") {
		t.Error("the probes are not counted: a pair twice, and the three calls of a bare token")
	}
	if !strings.Contains(metrics, `cloakroom_upstream_calls_total{call="CreateSession"`) {
		t.Error("the calls of ZITADEL are not counted")
	}
	doc := readDoc(t, "../../docs/zitadel.md")
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (cloakroom_upstream_\w+)`).FindAllStringSubmatch(metrics, -1) {
		if !strings.Contains(doc, "`"+m[1]+"`") {
			t.Errorf("docs/zitadel.md does not have %s", m[1])
		}
	}
	for _, m := range upstreamMetrics(t) {
		// These two show once there is something to show.
		if m != "cloakroom_upstream_token_renewals_total" && m != "cloakroom_upstream_unkeepable_sessions_total" && !strings.Contains(metrics, "# TYPE "+m+" ") {
			t.Errorf("docs/zitadel.md has %s, which is not there", m)
		}
	}
	if code := p.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	for _, secret := range []string{made.SessionToken, elsewhere, z.Login.Token, user.Password, "a-signing-key"} {
		if strings.Contains(p.stderr.String(), secret) {
			t.Error("I6: a secret is in the log")
		}
	}
}

// upstreamMetrics are the metrics that docs/zitadel.md has.
func upstreamMetrics(t *testing.T) (names []string) {
	t.Helper()
	for _, row := range regexp.MustCompile("(?m)^\\| `cloakroom_.*$").FindAllString(readDoc(t, "../../docs/zitadel.md"), -1) {
		for _, m := range regexp.MustCompile("`(cloakroom_[a-z_]+)`").FindAllStringSubmatch(strings.SplitAfter(row, " | ")[0], -1) {
			names = append(names, m[1])
		}
	}
	if len(names) == 0 {
		t.Fatal("docs/zitadel.md has no metrics")
	}
	return names
}

// A JWT access token ends with its session at ZITADEL. The log says that an account may not search for the login. Without --upstream-url
// nobody asks.
func TestServe_JWTsOfZITADEL(t *testing.T) {
	z := zitadeltest.Start(t)
	issuer := oidctest.Start(t)
	user := z.AddUser(zitadeltest.User{Password: "Password1!"})
	file := testfile.Write(t, fmt.Sprintf(`issuers: [{name: z, issuer: %q, audience: [app], verify: {claims: {session: jti}, session_pattern: "^(V2_.+)-at_"}}]`, issuer.URL))
	account := testfile.Write(t, z.Login.Token)
	flags := append([]string{"serve", "--redis-url=memory:", "--auth-issuers-file", file, "--verify-accept=jwt"}, quick()...)
	p := launch(t, append(slices.Clone(flags), "--upstream-url", z.URL, "--upstream-token-file", account, "--upstream-max-age=1s"))
	api, _ := p.ready(t)
	issuer.WaitFor(oidctest.KeysPath, 1)
	login := func() (id string, bearer []string) {
		id, _ = z.CreateSession(zitadeltest.Session{UserID: user, Password: true})
		now := time.Now().Unix()
		token := issuer.Sign(map[string]any{"iss": issuer.URL, "aud": "app", "sub": user, "iat": now, "exp": now + 600, "jti": z.StartOIDCSession(id, "app") + "-at_1"})
		return id, []string{"Authorization", "Bearer " + token}
	}
	id, bearer := login()
	awaitCall(t, http.StatusServiceUnavailable, "GET", api+"/verify", "", bearer...)
	if why, _ := p.logged(t, "verify: the session store is unavailable", 1)["error"].(string); !strings.Contains(why, "it must be an IAM_OWNER") {
		t.Errorf("the log says %q, and does not name the right that is missing", why)
	}
	if err := os.WriteFile(account, []byte(z.Admin.Token), 0o600); err != nil {
		t.Fatal(err)
	}
	p.logged(t, "credentials for ZITADEL reloaded", 1)
	awaitCall(t, http.StatusOK, "GET", api+"/verify", "", bearer...)
	_, other := login()
	awaitCall(t, http.StatusOK, "GET", api+"/verify", "", other...)
	z.Terminate(id)
	eventually.Holds(t, "the news have come", func() bool {
		status, _ := call(t, "GET", api+"/verify", "", bearer...)
		return status == http.StatusUnauthorized
	})
	want(t, http.StatusOK, "GET", api+"/verify", "", other...)
	if code := p.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}

	p = launch(t, flags)
	api, _ = p.ready(t)
	awaitCall(t, http.StatusOK, "GET", api+"/verify", "", bearer...) // no logout has come
	if code := p.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// In front of a ZITADEL the sessions end there; what it refuses is said, and is no success.
func TestRevokeCommand_AtZITADEL(t *testing.T) {
	z := zitadeltest.Start(t)
	user := zitadeltest.User{ID: z.NewID(), Password: "Password1!"}
	z.AddUser(user)
	for range 3 {
		z.CreateSession(zitadeltest.Session{UserID: user.ID})
	}
	p := launch(t, append([]string{
		"serve", "--redis-url=memory:", "--auth-anonymous", "--upstream-url", z.URL, "--upstream-token-file", testfile.Write(t, z.Login.Token),
	}, quick()...))
	api, _ := p.ready(t)
	f := func(code int, out, says string, args ...string) {
		t.Helper()
		gotCode, gotOut, log := once(t, append([]string{"sessions", "revoke", "--url", api, "--user-id", user.ID}, args...)...)
		if gotCode != code || gotOut != out || !strings.Contains(log, says) || says == "" && log != "" {
			t.Errorf("%q: got %d, %q, %q, want %d, %q, %q", args, gotCode, gotOut, log, code, out, says)
		}
	}
	f(exitOK, "3 sessions of user "+user.ID+" would be revoked\n", "", "--dry-run")
	z.Fail("DeleteSession", 1, zitadeltest.Failure{Status: http.StatusForbidden})
	f(exitFailed, "", "answered 502: 1 sessions are left: zitadel refuses it: it answered 403; 2 sessions were revoked; to send the request again is to go on; let the account of --upstream-token-file delete", "--yes")
	f(exitOK, "1 session revoked\n", "", "--yes")
	if left := z.SessionIDs(); len(left) > 0 {
		t.Errorf("ZITADEL has %v", left)
	}
	z.Stop()
	f(exitFailed, "", "nothing was revoked; run the same again once ZITADEL is back", "--yes")
}

// In front of a ZITADEL, which has no cursors, every session is listed once, however many there are of one date.
func TestSessionsList_AtZITADEL(t *testing.T) {
	z := zitadeltest.Start(t)
	user := zitadeltest.User{ID: z.NewID(), LoginName: "ada", Password: "Password1!"}
	z.AddUser(user)
	const stored = 320
	for range stored {
		z.CreateSession(zitadeltest.Session{UserID: user.ID})
	}
	p := launch(t, append([]string{
		"serve", "--redis-url=memory:", "--auth-anonymous", "--upstream-url", z.URL, "--upstream-token-file", testfile.Write(t, z.Login.Token),
	}, quick()...))
	api, _ := p.ready(t)
	all := z.SessionIDs()
	f := func(want int, log string, args ...string) {
		t.Helper()
		got := listed(t, log, append([]string{"--url", api, "--output=id", "--user-id", user.ID}, args...)...)
		seen := slices.Clone(got)
		slices.Sort(seen)
		if len(slices.Compact(seen)) != want || len(got) != want || slices.ContainsFunc(seen, func(id string) bool { return !slices.Contains(all, id) }) {
			t.Errorf("%q: got %d sessions, %d of them once, want %d", args, len(got), len(seen), want)
		}
	}
	f(stored, "", "--limit=0")
	f(stored, "", "--limit=0", "--asc")
	f(stored, "", "--limit=320")
	f(260, "these are the newest 260 of 320 sessions of user "+user.ID+"; --limit 0 lists all\n", "--limit=260")
	f(5, "these are the oldest 5 of 320 sessions of user "+user.ID+"; --limit 0 lists all\n", "--limit=5", "--asc")
	z.Change(func(s *zitadeltest.Settings) { s.MaxListLimit, s.DefaultListLimit = 90, 70 })
	asked := z.Count("ListSessions")
	f(stored, "", "--limit=0")
	if n := z.Count("ListSessions") - asked; n > 8 {
		t.Errorf("%d searches for five pages: each was refused before", n)
	}
	f(stored, "", "--limit=0", "--asc")
	code, out, log := once(t, "sessions", "explain", "--url", api)
	if code != exitFailed || out != "" || !strings.Contains(log, "answered 400: explain: searches are passed on to the ZITADEL") {
		t.Errorf("got %d, %q, %q", code, out, log)
	}
	code, out, log = once(t, "sessions", "list", "--url", api, "--user-id=nobody")
	if code != exitOK || out != "" || log != "" {
		t.Errorf("got %d, %q, %q", code, out, log)
	}
}
