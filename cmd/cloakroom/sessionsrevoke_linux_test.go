package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestRevokeCommandAsks(t *testing.T) {
	api, _ := serveOpen(t)
	for range 3 {
		create(t, api, "alice")
	}
	f := func(answer string, code int, out string, args ...string) string {
		t.Helper()
		user, shown, wait := atTerminal(t, append([]string{"sessions", "revoke", "--url", api, "--user-id=alice"}, args...)...)
		if answer != "" {
			seen(t, shown, "revoke 3 sessions of user alice? [y/N] ")
			if _, err := user.WriteString(answer); err != nil {
				t.Fatal(err)
			}
		}
		gotCode, gotOut := wait()
		if gotCode != code || gotOut != out {
			t.Errorf("%q: got %d, %q, want %d, %q; the terminal shows\n%s", answer, gotCode, gotOut, code, out, shown)
		}
		return shown.String()
	}
	for _, no := range []string{"n\n", "\n", "yess\n", "\x04"} { // the last is the end of the input
		if shown := f(no, exitFailed, ""); !strings.Contains(shown, "nothing was revoked, because the answer was not y") {
			t.Errorf("%q: %s", no, shown)
		} else if strings.Contains(shown, "[y/N] cloakroom") {
			t.Errorf("%q: the answer is on the line of the question: %s", no, shown)
		}
	}
	if shown := f("", exitOK, "3 sessions of user alice would be revoked\n", "--dry-run"); shown != "" {
		t.Errorf("a dry run asks: %s", shown)
	}
	if n := total(t, api, "{}"); n != "3" {
		t.Fatalf("%s sessions are left", n)
	}
	f("Y\n", exitOK, "3 sessions revoked\n")
	if shown := f("", exitOK, "there is nothing to revoke: no session of user alice\n"); shown != "" {
		t.Errorf("it asks for nothing: %s", shown)
	}
	create(t, api, "alice")
	if shown := f("", exitOK, "1 session revoked\n", "--yes"); shown != "" {
		t.Errorf("it asks in spite of --yes: %s", shown)
	}
}

// Interrupted at the question it revokes nothing.
func TestRevokeCommandIsInterrupted(t *testing.T) {
	api, _ := serveOpen(t)
	create(t, api, "alice")
	user, shown, wait := atTerminal(t, "sessions", "revoke", "--url", api, "--all")
	seen(t, shown, "revoke 1 session that the caller may delete? [y/N] ")
	if _, err := user.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	if code, out := wait(); code != exitFailed || out != "" || !strings.Contains(shown.String(), "interrupted; nothing was revoked") {
		t.Errorf("got %d, %q, %s", code, out, shown)
	}
	if n := total(t, api, "{}"); n != "1" {
		t.Errorf("%s sessions are left", n)
	}
}

// What takes long shows that it goes on; interrupted then, it says that the
// sidecar does.
func TestRevokeCommandSpins(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	calls := 0
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls++; calls%2 == 0 {
			<-release
		}
		fmt.Fprint(w, `{"revoked":"7"}`)
	}))
	defer slow.Close()
	_, shown, wait := atTerminal(t, "sessions", "revoke", "--url", slow.URL, "--all", "--yes")
	seen(t, shown, "revoking")
	release <- struct{}{}
	if code, out := wait(); code != exitOK || out != "7 sessions revoked\n" {
		t.Errorf("got %d, %q, %s", code, out, shown)
	}
	user, shown, wait := atTerminal(t, "sessions", "revoke", "--url", slow.URL, "--all", "--yes")
	seen(t, shown, "revoking")
	if _, err := user.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	if code, out := wait(); code != exitFailed || out != "" || !strings.Contains(shown.String(), "interrupted; the sidecar goes on with what it was told") {
		t.Errorf("got %d, %q, %s", code, out, shown)
	}
	close(release)
}
