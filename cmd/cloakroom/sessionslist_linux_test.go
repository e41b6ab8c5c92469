package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/rivo/uniseg"
)

// On a terminal there is a table, which fits, whatever texts are stored.
func TestSessionsListOnATerminal(t *testing.T) {
	t.Parallel()
	api, _ := serveOpen(t)
	evil := `\u001b[2Je\u009b1mvil\u202e\u0007\n田中太郎 ` + strings.Repeat("long ", 30)
	for i := range 3 {
		want(t, http.StatusCreated, "PUT", fmt.Sprint(api, "/v2/sessions/188319610550983135", i), `{"creationDate":"2026-01-01T00:00:00Z","expirationDate":"2050-01-01T00:00:00Z","factors":{"user":{"id":"`+evil+`","loginName":"`+evil+
			`"},"password":{"verifiedAt":"2026-01-01T00:00:00Z"}},"userAgent":{"description":"`+evil+`"},"metadata":{"\u001bkey":"G1sySg=="}}`)
	}
	list := func(columns uint16, env, headings string, args ...string) string {
		t.Helper()
		code, shown := onTerminal(t, columns, []string{"TERM=xterm", "NO_COLOR=", env}, append([]string{"sessions", "list", "--url", api}, args...)...)
		if code != exitOK {
			t.Errorf("exit code %d: %s", code, shown)
		}
		lines := strings.Split(strings.TrimSuffix(shown, "\n"), "\n")
		if got := strings.Join(strings.Fields(lines[0]), " "); got != headings || len(lines) != 4 {
			t.Errorf("%d columns: got %q, want %q, in\n%s", columns, got, headings, shown)
		}
		for _, line := range lines {
			line = strings.NewReplacer("\x1b[1m", "", "\x1b[0m", "").Replace(line)
			if w := uniseg.StringWidth(line); w > int(columns) || strings.ContainsAny(line, "\x1b\u009b\u202e\a\r") {
				t.Errorf("%d columns, of %d: %q", w, columns, line)
			}
		}
		return shown
	}
	all := "\x1b[1mID USER LOGIN NAME FACTORS AGE LEFT USER AGENT\x1b[0m"
	list(200, "", all)
	list(100, "", all)
	if shown := list(80, "", "\x1b[1mID USER LOGIN NAME FACTORS AGE LEFT\x1b[0m"); !strings.Contains(shown, "…") {
		t.Errorf("nothing is cut: %s", shown)
	}
	list(80, "", "\x1b[1mID USER LOGIN NAME FACTORS AGE LEFT\x1b[0m", "--limit=0", "--output=table")
	// Whoever wants no colours gets no more than ASCII.
	for _, env := range []string{"NO_COLOR=1", "TERM=dumb"} {
		if shown := list(80, env, "ID USER LOGIN NAME FACTORS AGE LEFT"); !strings.Contains(shown, "...") || strings.Contains(shown, "…") {
			t.Errorf("%s: got %s", env, shown)
		}
	}
	// JSON has what it has, escaped.
	code, shown := onTerminal(t, 80, nil, "sessions", "list", "--url", api, "--output=jsonl", "--limit=1")
	if line, _, _ := strings.Cut(shown, "\n"); code != exitOK || !strings.Contains(line, `"loginName":"\u001b[2Je\u009b1mvil\u202e\u0007\n田中太郎`) || strings.ContainsAny(line, "\x1b\u009b\u202e") {
		t.Errorf("got %d, %q", code, shown)
	}
	code, shown = onTerminal(t, 80, nil, "sessions", "get", "--url", api, "1883196105509831350")
	if code != exitOK || strings.ContainsAny(shown, "\x1b\u009b\u202e\a") || !strings.Contains(shown, "\nmetadata    key: G1sySg== (base64)\n") || !strings.Contains(shown, "\nuser        [2Je1mvil田中太郎 long") {
		t.Errorf("got %d, %q", code, shown)
	}
	if code, shown := onTerminal(t, 80, nil, "sessions", "list", "--url", api, "--user-id=x"); code != exitOK || shown != "no session of user x\n" {
		t.Errorf("got %d, %q", code, shown)
	}
}

// Whoever has seen enough closes the pipe, as head does.
func TestSessionsListEndsWithItsReader(t *testing.T) {
	t.Parallel()
	api, _ := serveOpen(t)
	create(t, api, "alice")
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	reader.Close()
	for _, form := range []string{"table", "json", "jsonl", "id"} {
		cmd, log := selfCommand(t, "sessions", "list", "--url", api, "--output", form), newOutput()
		cmd.Stdout, cmd.Stderr = writer, log
		var exit *exec.ExitError
		if err := cmd.Run(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGPIPE || log.String() != "" {
			t.Errorf("%s: %v\n%s", form, err, log)
		}
	}
}
