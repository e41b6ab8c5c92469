package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
)

// workplace has a directory in which documented commands run, with the program on PATH.
type workplace struct {
	t   *testing.T
	dir string
	env []string
}

func newWorkplace(t *testing.T, from, to string) *workplace {
	t.Helper()
	self := selfCommand(t)
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\n%s=1 exec '%s' \"$@\"\n", asProgram, self.Path)
	if err := os.WriteFile(filepath.Join(dir, "cloakroom"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return &workplace{t, dir, append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "FROM="+from, "TO="+to)}
}

// pipe is a command line with a pipe.
type pipe struct {
	from, to *exec.Cmd
	log      *output
}

// pipe starts a command line with a pipe, whose ends it keeps apart.
func (s *workplace) pipe(line string) *pipe {
	s.t.Helper()
	left, right, ok := strings.Cut(line, " | ")
	r, w, err := os.Pipe()
	if !ok || err != nil {
		s.t.Fatal(line, err)
	}
	p := &pipe{s.command(left), s.command(right), newOutput()}
	p.from.Stdout, p.to.Stdin = w, r
	p.from.Stderr, p.to.Stdout, p.to.Stderr = p.log, p.log, p.log
	for _, cmd := range []*exec.Cmd{p.from, p.to} {
		if err := cmd.Start(); err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() { _ = cmd.Process.Kill() })
	}
	_, _ = r.Close(), w.Close()
	return p
}

// stop ends the export; the import ends by itself.
func (p *pipe) stop(t *testing.T) {
	t.Helper()
	if err := p.from.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	for _, cmd := range []*exec.Cmd{p.from, p.to} {
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v\n%s", err, p.log)
		}
	}
}

// command is a command line that is about to run: in place of the shell that starts it.
func (s *workplace) command(line string) *exec.Cmd {
	cmd := exec.Command("sh", "-c", "exec "+line)
	cmd.Dir, cmd.Env = s.dir, s.env
	return cmd
}

// run runs a command line, which must end well.
func (s *workplace) run(line string) {
	s.t.Helper()
	out, err := s.command(line).CombinedOutput()
	if err != nil {
		s.t.Errorf("%s: %v\n%s", line, err, out)
	}
}

// movingBlocks are the commands of docs/moving.md, by block.
func movingBlocks(t *testing.T) (blocks [][]string) {
	t.Helper()
	for _, m := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(readDoc(t, "../../docs/moving.md"), -1) {
		blocks = append(blocks, strings.Split(strings.TrimSpace(m[1]), "\n"))
	}
	if len(blocks) != 4 || len(blocks[0]) != 3 {
		t.Fatalf("docs/moving.md has the commands %q", blocks)
	}
	return blocks
}

// The move with downtime that docs/moving.md has logs nobody out, and nobody who was logged out in again.
func TestMovingDoc_WithDowntime(t *testing.T) {
	t.Parallel()
	from, to := redistest.Start(t), redistest.Start(t)
	p, api := serveAt(t, from.URL(), "cr:")
	kept, revoked := login(t, api, "alice"), login(t, api, "bob")
	want(t, 200, "DELETE", api+"/v2/sessions/"+revoked.id, "")
	want(t, 201, "PUT", api+"/v2/sessions/foreign", `{"tokenSha256":"`+fmt.Sprintf("%x", sha256.Sum256([]byte("theirs")))+`","factors":`+factorsOf("carol")+`,"expirationDate":"2100-01-01T00:00:00Z"}`)
	if code := p.stop(); code != exitOK {
		t.Fatal(code)
	}
	s := newWorkplace(t, from.URL(), to.URL())
	for _, line := range movingBlocks(t)[0] {
		s.run(line)
	}
	info, err := os.Stat(filepath.Join(s.dir, "sessions.ndjson.zst"))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	_, api = serveAt(t, to.URL(), "cr2:")
	for token, code := range map[string]int{kept.token: 200, "theirs": 200, revoked.token: 401} {
		if got := verified(t, api, token); got != code {
			t.Errorf("verify is %d, want %d", got, code)
		}
	}
	if got := total(t, api, `{}`); got != "2" {
		t.Errorf("%s sessions", got)
	}
}

// fleet are the sidecars that clients may call.
type fleet struct {
	mu   sync.Mutex
	apis []string
}

func (f *fleet) set(apis ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.apis = apis
}

func (f *fleet) all() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.apis
}

// settles says whether every sidecar answers a token as it should, soon; what is not so at once is counted.
func (f *fleet) settles(t *testing.T, token string, code int, late *atomic.Int64) bool {
	first := true
	return eventually.Within(time.Minute, func() bool {
		for _, api := range f.all() {
			if verified(t, api, token) != code {
				if first {
					late.Add(1)
				}
				first = false
				return false
			}
		}
		return true
	})
}

// The move without downtime that docs/moving.md has: sidecars are restarted with another prefix and another number of shards
// while clients log in, renew tokens and log out through all of them. No session is lost, nobody who was logged out comes back,
// and what is refused wrongly is only what has just been written through the other prefix.
func TestMovingDoc_WithoutDowntime(t *testing.T) {
	t.Parallel()
	from, to := redistest.Start(t), redistest.Start(t)
	first, firstAPI := serveAt(t, from.URL(), "cr:")
	second, secondAPI := serveAt(t, from.URL(), "cr:")
	f := &fleet{}
	f.set(firstAPI, secondAPI)

	ctx, stop := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	var lived, revoked [4][]created
	var late atomic.Int64
	for n := range lived {
		clients.Go(func() {
			r := rand.New(rand.NewPCG(uint64(n), 18))
			api := func() string { all := f.all(); return all[r.IntN(len(all))] }
			for i := 0; ctx.Err() == nil && !t.Failed(); i++ {
				s := login(t, api(), fmt.Sprintf("user-%d", n))
				if !f.settles(t, s.token, 200, &late) {
					t.Errorf("session %s is refused", s.id)
				}
				if i%3 == 1 {
					var renewed struct{ SessionToken string }
					answer := want(t, 200, "PATCH", api()+"/v2/sessions/"+s.id, `{"metadata":{"i":"aQ=="}}`)
					if err := json.Unmarshal([]byte(answer), &renewed); err != nil {
						t.Error(err)
					}
					s.token = renewed.SessionToken
					if !f.settles(t, s.token, 200, &late) {
						t.Errorf("session %s is refused with its new token", s.id)
					}
				}
				if i%3 == 2 {
					want(t, 200, "DELETE", api()+"/v2/sessions/"+s.id, "")
					if !f.settles(t, s.token, 401, &late) {
						t.Errorf("session %s goes on after its deletion", s.id)
					}
					revoked[n] = append(revoked[n], s)
				} else {
					lived[n] = append(lived[n], s)
				}
			}
		})
	}
	t.Cleanup(func() { stop(); clients.Wait() })

	blocks := movingBlocks(t)
	s := newWorkplace(t, from.URL(), to.URL())
	there := s.pipe(blocks[1][0])
	caughtUp := func(p *pipe, what string) {
		t.Helper()
		if !eventually.Within(2*time.Minute, func() bool { return strings.Contains(p.log.String(), "import: caught up: all changes before ") }) {
			t.Fatalf("%s does not catch up:\n%s", what, p.log)
		}
	}
	caughtUp(there, "the new store")
	back := s.pipe(blocks[2][0])
	caughtUp(back, "the old store")

	replace := func(old *cloakroom, others ...string) (api string) {
		t.Helper()
		_, api = serveAt(t, to.URL(), "cr2:")
		f.set(append(others, api)...)
		until := logins.Load() + int64(testdepth.Of(300, 40)) // the clients go on, with both prefixes
		if !eventually.Within(2*time.Minute, func() bool { return logins.Load() >= until }) {
			t.Error("the clients do not go on")
		}
		if code := old.stop(); code != exitOK {
			t.Errorf("a sidecar ended with %d", code)
		}
		return api
	}
	newFirst := replace(first, secondAPI)
	newSecond := replace(second, newFirst)
	f.set(newFirst, newSecond)
	stop()
	clients.Wait()
	there.stop(t)
	back.stop(t)
	s.run(blocks[3][0])
	n := 0
	for i := range lived {
		n += len(lived[i])
		for _, it := range lived[i] {
			if got := verified(t, newFirst, it.token); got != 200 {
				t.Errorf("session %s is lost: %d", it.id, got)
			}
		}
		for _, it := range revoked[i] {
			if got := verified(t, newSecond, it.token); got != 401 {
				t.Errorf("session %s has come back: %d", it.id, got)
			}
		}
	}
	if got := total(t, newFirst, `{}`); got != fmt.Sprint(n) || n < 10 {
		t.Errorf("%s sessions, want %d", got, n)
	}
	t.Logf("%d sessions live, %d answers came too early", n, late.Load())
}
