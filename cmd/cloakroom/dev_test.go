package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/tlstest"
)

// pasted waits for the lines to paste and returns them.
func (p *cloakroom) pasted(t *testing.T) []string {
	t.Helper()
	var lines []string
	p.until(t, p.stdout, "lines to paste", func(text string) bool {
		lines = nil
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "curl ") {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
		return strings.HasSuffix(text, "\n\n") && len(lines) > 0
	})
	return lines
}

// answer is what the lines get.
type answer struct {
	Details  struct{ TotalResult string }
	Sessions []wireSession
	Session  wireSession
}

type wireSession struct {
	ID           string
	CreationDate time.Time
	Factors      struct{ User struct{ ID string } }
}

// shell runs a line and returns what it prints.
func shell(t *testing.T, line string, env ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", line)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return string(out)
}

// paste runs a line that prints an answer.
func paste(t *testing.T, line string, env ...string) answer {
	t.Helper()
	out := shell(t, line, env...)
	var a answer
	if err := json.Unmarshal([]byte(out), &a); err != nil {
		t.Fatalf("%s: %v: %.200s", line, err, out)
	}
	return a
}

// tryAll runs the lines in their order and looks at what they answer: the verify
// that passes, the revocation, the verify that is refused, and the searches.
func tryAll(t *testing.T, lines []string, totalWant string, env ...string) {
	t.Helper()
	if len(lines) != 6 || lines[0] != lines[2] {
		t.Fatalf("got the lines %q", lines)
	}
	if out := shell(t, lines[0], env...); !strings.Contains(out, " 200 OK\r\n") || !strings.Contains(out, "X-Session-User: alice\r\n") {
		t.Errorf("%s: got %s", lines[0], out)
	}
	if out := shell(t, lines[1], env...); !strings.Contains(out, `"changeDate"`) {
		t.Errorf("%s: got %s", lines[1], out)
	}
	if out := shell(t, lines[2], env...); !strings.Contains(out, " 401 Unauthorized\r\n") || !strings.Contains(out, "X-Auth-Reason: revoked\r\n") {
		t.Errorf("%s: got %s", lines[2], out)
	}
	trySearches(t, lines[3:], totalWant, env...)
}

// trySearches runs the last three lines.
func trySearches(t *testing.T, lines []string, totalWant string, env ...string) {
	t.Helper()
	if len(lines) != 3 {
		t.Fatalf("got the lines %q", lines)
	}
	all := paste(t, lines[0], env...)
	if want, _ := strconv.Atoi(totalWant); all.Details.TotalResult != totalWant || len(all.Sessions) != min(want, 3) {
		t.Errorf("got %d of %s sessions, want of %s", len(all.Sessions), all.Details.TotalResult, totalWant)
	}
	recent := paste(t, lines[1], env...)
	if recent.Details.TotalResult == "0" || len(recent.Sessions) == 0 {
		t.Fatalf("no recent session: %s", lines[1])
	}
	for i, s := range recent.Sessions {
		if s.Factors.User.ID != recent.Sessions[0].Factors.User.ID {
			t.Errorf("session of another user: %+v", s)
		}
		if i > 0 && s.CreationDate.After(recent.Sessions[i-1].CreationDate) {
			t.Error("not the newest first")
		}
	}
	if one := paste(t, lines[2], env...); one.Session.ID != recent.Sessions[0].ID {
		t.Errorf("got session %q, want %q", one.Session.ID, recent.Sessions[0].ID)
	}
}

func TestDevLinesWork(t *testing.T) {
	p := launch(t, append([]string{"dev"}, quick()...))
	tryAll(t, p.pasted(t), "1000")
	if code := p.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestDevOverUnixSocketWithKeys(t *testing.T) {
	dir := shortDir(t)
	file := filepath.Join(dir, "keys.yaml")
	secret := newKey(t, "--name=a", "--user-id=u", "--permission=session.read", "--permission=session.delete", "--file", file)
	p := launch(t, []string{
		"dev", "--redis-url=memory:", "--http-addr=unix:" + dir + "/it's a socket", "--admin-addr=127.0.0.1:0",
		"--auth-anonymous=false", "--auth-keys-file", file, "--verify-credentials=cookie:session_token,bearer",
	})
	tryAll(t, p.pasted(t), "1000", "API_KEY="+secret)
}

func TestDevOverTLS(t *testing.T) {
	authority := tlstest.NewAuthority(t)
	files := authority.Mounted(t.TempDir(), tlstest.Pair(authority.Issue(time.Hour)))
	p := launch(t, append([]string{"dev", "--verify-credentials=x-session-token"}, quick("--http-tls-cert-file="+files.Cert, "--http-tls-key-file="+files.Key)...))
	tryAll(t, p.pasted(t), "1000")
}

func TestDevKeepsWhatIsThere(t *testing.T) {
	dir := shortDir(t)
	p := launch(t, embeddedArgs(dir))
	api, _ := p.ready(t)
	create(t, api, "u1")
	p.stop()
	p = launch(t, append([]string{"dev", "--redis-url=embedded:" + dir}, quick()...))
	lines := p.pasted(t)
	p.logged(t, "the store has sessions already: no samples added", 1)
	tryAll(t, lines, "1")
}

// dev adds no session to a Redis that is not its own and is in use.
func TestDevAddsNothingToForeignSessions(t *testing.T) {
	args := []string{"--redis-url=" + redistest.Start(t).URL(), "--auth-anonymous", "--audit-interval=0"}
	p := launch(t, append([]string{"serve"}, quick(args...)...))
	api, _ := p.ready(t)
	create(t, api, "u1")
	p.stop()
	p = launch(t, append([]string{"dev"}, quick(args...)...))
	trySearches(t, p.pasted(t), "1")
}

// dev takes the next free port where that of a default address is taken; other
// programs on this machine may have it already.
func TestDevTakesTheNextPort(t *testing.T) {
	for _, taken := range []string{"127.0.0.1:8080", "127.0.0.1:9090"} {
		if ln, err := net.Listen("tcp", taken); err == nil {
			defer func() { _ = ln.Close() }()
		}
	}
	p := launch(t, []string{"dev", "--log-format=json"})
	lines := p.pasted(t)
	ready := p.logged(t, "ready", 1)
	for i, want := range []struct{ setting, taken, listens string }{{"admin-addr", "127.0.0.1:9090", "admin"}, {"http-addr", "127.0.0.1:8080", "http"}} {
		line := p.logged(t, "the port is taken: listening on the next free one", i+1)
		if line["setting"] != want.setting || line["taken"] != want.taken || line["instead"] != ready[want.listens] || ready[want.listens] == want.taken {
			t.Errorf("got %v, ready says %v", line, ready[want.listens])
		}
	}
	if !strings.Contains(lines[0], fmt.Sprintf(" http://%s/verify ", ready["http"])) {
		t.Errorf("the lines name another address than %v: %s", ready["http"], lines[0])
	}
	tryAll(t, lines, "1000")
}
