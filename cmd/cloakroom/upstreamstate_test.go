package main

import (
	"net/http"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/testfile"
	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
	"github.com/cloakroom-dev/cloakroom/upstream"
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
	_, admin = launch(t, append(args, "--upstream-poll=0")).ready(t)
	wantLines(t, want(t, http.StatusOK, "GET", admin+"/readyz?verbose", ""), "zitadel: has not been asked yet\n", "news: off (--upstream-poll is 0): copies answer for --upstream-max-age\n")
}

func TestZitadelState(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for want, s := range map[string]upstream.State{
		"has not been asked yet":                             {},
		"answers; its last answer is to a call 1m30s ago":    {Served: now.Add(-90 * time.Second)},
		"away: silence; it has not answered yet":             {Away: true, Fault: "silence", Refused: "no"},
		"away: silence; its last answer is to a call 2s ago": {Away: true, Fault: "silence", Served: now.Add(-2 * time.Second)},
		"our account is refused: no":                         {Refused: "no", Pause: time.Second, Served: now},
		"asks for no calls of our account for 5s":            {Pause: 5 * time.Second, Served: now},
	} {
		if got := zitadelState(s, now); got != want {
			t.Errorf("%+v: got %q, want %q", s, got, want)
		}
	}
}
