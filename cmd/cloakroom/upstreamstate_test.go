package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
)

// /readyz says how the ZITADEL does, and is 200 whatever that is: copies answer, and no other process would fare better.
func TestReadyz_ZITADEL(t *testing.T) {
	t.Parallel()
	z := zitadeltest.Start(t)
	p := launch(t, append([]string{
		"serve", "--redis-url=memory:", "--upstream-url", z.URL, "--upstream-token-file", testfile.Write(t, z.Admin.Token), "--verify-accept=id-token-pair", "--upstream-max-age=1s", "--upstream-poll=100ms",
	}, quick()...))
	_, admin := p.ready(t)
	ready := admin + "/readyz?verbose"
	awaitAnswer(t, http.StatusOK, ready, "; this process searches, for all\n")
	wantLines(t, want(t, http.StatusOK, "GET", ready, ""), "ready\n", "zitadel: answers; its last answer is to a call ", "news: known up to ")

	z.Stop()
	awaitAnswer(t, http.StatusOK, ready, "\nzitadel: away: it cannot be connected to: ")
	awaitAnswer(t, http.StatusOK, ready, "\nnews: the last search failed: its last calls failed, so this one was not sent: it cannot be connected to: ")
	z.Restart()
	awaitAnswer(t, http.StatusOK, ready, "\nzitadel: answers; ")

	z.Fail(zitadeltest.ListEvents, 1, zitadeltest.Failure{Status: http.StatusTooManyRequests, RetryAfter: "2"})
	awaitAnswer(t, http.StatusOK, ready, "\nzitadel: asks for no calls of our account for ")
	awaitAnswer(t, http.StatusOK, ready, "\nzitadel: answers; ")
	z.RevokeToken(z.Admin.Token)
	awaitAnswer(t, http.StatusOK, ready, "\nzitadel: our account is refused: it refuses our access token\n")
}

// An account that may not search for events says so, and where there are no news that is said, too.
func TestReadyz_NewsOfZITADEL(t *testing.T) {
	t.Parallel()
	z := zitadeltest.Start(t)
	args := append([]string{"serve", "--redis-url=memory:", "--upstream-url", z.URL, "--upstream-token-file", testfile.Write(t, z.Login.Token), "--verify-accept=id-token-pair"}, quick()...)
	_, admin := launch(t, args).ready(t)
	awaitAnswer(t, http.StatusOK, admin+"/readyz?verbose", "\nnews: forbidden: our account may not search for events (AUTH-5mWD2): it must be an IAM_OWNER; nothing is known yet: copies answer for --upstream-max-age\n")
	api, admin := launch(t, append(args, "--upstream-poll=0")).ready(t)
	wantLines(t, want(t, http.StatusOK, "GET", admin+"/readyz?verbose", ""), "zitadel: has not been asked yet\n", "news: off (--upstream-poll is 0): copies answer for --upstream-max-age\n")

	// It finds out that ZITADEL is back, though nobody asks it for anything.
	user := z.AddUser(zitadeltest.User{Password: "Password1!"})
	id, token := z.CreateSession(zitadeltest.Session{UserID: user, Password: true})
	z.Stop()
	for range 5 {
		want(t, http.StatusServiceUnavailable, "GET", api+"/verify", "", "Authorization", "Bearer "+id+":"+token)
	}
	awaitAnswer(t, http.StatusOK, admin+"/readyz?verbose", "\nzitadel: away: ")
	z.Restart()
	awaitAnswer(t, http.StatusOK, admin+"/readyz?verbose", "\nzitadel: answers; ")
}

// What upstream status prints while a cloakroom runs, and what without one; it changes nothing.
func TestUpstreamStatus(t *testing.T) {
	t.Parallel()
	z, redis := withSession(t), redistest.Start(t)
	flags := append([]string{"--redis-url", redis.URL()}, zitadelArgs(t, z.URL, z.Admin.Token)...)
	status := func(wantCode int, more ...string) string {
		t.Helper()
		code, text, stderr := once(t, append(append([]string{"upstream", "status"}, flags...), more...)...)
		if code != wantCode || strings.Contains(text+stderr, z.Admin.Token) {
			t.Errorf("exit code %d:\n%s%s", code, text, stderr)
		}
		return text
	}
	wantLines(t, status(exitFailed), "copies\nFAIL  redis          Redis does not tell: there is no store under the key prefix \"cr:\"\n", "zitadel\nok    reachable ")
	if n := redis.Client(t).DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("it has made %d keys", n)
	}

	p := launch(t, append(append([]string{"serve", "--verify-accept=id-token-pair", "--upstream-poll=100ms"}, flags...), quick()...))
	api, admin := p.ready(t)
	user := zitadeltest.User{ID: z.NewID(), Password: "Password1!"}
	z.AddUser(user)
	id, token := z.CreateSession(zitadeltest.Session{UserID: user.ID, Password: true})
	want(t, http.StatusOK, "GET", api+"/verify", "", "Authorization", "Bearer "+id+":"+token)
	awaitAnswer(t, http.StatusOK, admin+"/readyz?verbose", "; this process searches, for all\n")
	wantLines(t, status(exitOK), "redis://", "copies\nok    stored         1, of which 0 have ended\nok    news           known up to ", "ok    leader         process ", "zitadel\nok    reachable ", "9 ok\n")
	var r report
	if err := json.Unmarshal([]byte(status(exitOK, "--json")), &r); err != nil || !r.OK || r.Prefix != "cr:" || r.Findings[0].Section != "copies" {
		t.Errorf("%v: %+v", err, r)
	}
	if code := p.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}

	rdb := redis.Client(t)
	if err := rdb.Del(t.Context(), rdb.Keys(t.Context(), "cr:f:*").Val()...).Err(); err != nil {
		t.Fatal(err)
	}
	wantLines(t, status(exitOK), "warn  news           none are recorded: ", "warn  leader         none: no process searches for events. No cloakroom serve runs with this --redis-key-prefix and --upstream-poll above 0, or its account may not search: see events below")
	wantLines(t, status(exitOK, "--upstream-poll=0"), "ok    news           none, as --upstream-poll is 0: ", "ok    leader         none, as")
	redis.Stop()
	z.Stop()
	wantLines(t, status(exitFailed), "copies\nFAIL  redis ", "zitadel\nFAIL  reachable ", "0 ok, 2 faults\n")
	for _, args := range [][]string{{}, {"stats"}, {"status", "--redis-url=" + redis.URL()}, append([]string{"status", "--redis-url=memory:"}, flags[2:]...), {"status", "--frobnicate"}} {
		if code, text, stderr := once(t, append([]string{"upstream"}, args...)...); code != exitUsage || text != "" || stderr == "" {
			t.Errorf("%q: exit code %d: %s%s", args, code, text, stderr)
		}
	}
}
