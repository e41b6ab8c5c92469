package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// pasted waits for the lines to paste and returns them.
func (p *cloakroom) pasted(t *testing.T) []string {
	t.Helper()
	var lines []string
	p.until(t, p.stdout, "lines to paste", func(text string) bool {
		lines = nil
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "curl ") && strings.HasSuffix(line, "\n") {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
		return len(lines) == 3
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

// paste runs a line in a shell.
func paste(t *testing.T, line string, env ...string) answer {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", line)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	var a answer
	if err := json.Unmarshal(out, &a); err != nil {
		t.Fatalf("%s: %v: %.200s", line, err, out)
	}
	return a
}

// try3 runs the three lines and looks at what they answer.
func try3(t *testing.T, lines []string, totalWant string, env ...string) {
	t.Helper()
	if !strings.HasSuffix(lines[0], "-d '{}'") {
		t.Errorf("the first line is not the plain search: %s", lines[0])
	}
	all := paste(t, lines[0], env...)
	if all.Details.TotalResult != totalWant {
		t.Errorf("got %s of %s sessions", all.Details.TotalResult, totalWant)
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
	try3(t, p.pasted(t), "1000")
	if code := p.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestDevOverUnixSocketWithKeys(t *testing.T) {
	dir := shortDir(t)
	file := filepath.Join(dir, "keys.yaml")
	secret := newKey(t, "--name=a", "--user-id=u", "--permission=session.read", "--file", file)
	p := launch(t, []string{
		"dev", "--redis-url=memory:", "--http-addr=unix:" + dir + "/it's a socket", "--admin-addr=127.0.0.1:0",
		"--auth-anonymous=false", "--auth-keys-file", file,
	})
	try3(t, p.pasted(t), "1000", "API_KEY="+secret)
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
	try3(t, lines, "1")
}

func TestSamples(t *testing.T) {
	now := session.TimeOf(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	all := samples(now)
	if !reflect.DeepEqual(all, samples(now)) {
		t.Error("not the same twice")
	}
	if len(all) != sampleSessions {
		t.Fatalf("got %d sessions", len(all))
	}
	ids, users, creators := map[session.ID]bool{}, map[string]map[string]bool{}, map[string]bool{}
	var recent, never, old int
	for _, s := range all {
		f := s.Facts()
		if ids[f.ID] {
			t.Errorf("ID %s twice", f.ID)
		}
		ids[f.ID], creators[f.Creator] = true, true
		if users[f.UserID] == nil {
			users[f.UserID] = map[string]bool{}
		}
		users[f.UserID][f.AgentID] = true
		if f.Due(now) || f.Creation >= now || s.ChangeDate > now || s.ChangeDate < f.Creation || s.Factors.User.VerifiedAt > s.ChangeDate {
			t.Errorf("dates of %+v", s)
		}
		if _, err := session.ParseID(string(f.ID)); err != nil || len(f.ID) != 19 {
			t.Errorf("ID %s: %v", f.ID, err)
		}
		switch age := now.Sub(f.Creation); {
		case age < 24*time.Hour:
			recent++
		case age > sampleDays*24*time.Hour+time.Minute:
			t.Errorf("%s is %v old", f.ID, age)
		case age > 15*24*time.Hour:
			old++
		}
		if f.Expiration == session.Never {
			never++
		}
	}
	several := 0
	for _, agents := range users {
		if len(agents) > 1 {
			several++
		}
	}
	if len(users) != sampleUsers || len(creators) != 3 || several < 50 || recent < 50 || old < 50 || never < 50 {
		t.Errorf("%d users, %d with several devices, %d creators, %d recent, %d old, %d without end", len(users), several, len(creators), recent, old, never)
	}
}
