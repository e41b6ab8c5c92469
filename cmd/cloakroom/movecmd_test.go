package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
)

// created is a session that a client has.
type created struct{ id, token string }

// logins counts sessions, so that each has an ID of its own.
var logins atomic.Int64

// login stores a session of a user who has given a password, with a token.
func login(t *testing.T, api, user string) created {
	t.Helper()
	id := fmt.Sprint("login-", logins.Add(1))
	answer := want(t, http.StatusCreated, "PUT", api+"/v2/sessions/"+id+"?issueToken=true", `{"factors":`+factorsOf(user)+`,"expirationDate":"2100-01-01T00:00:00Z"}`)
	var c struct{ SessionToken string }
	if err := json.Unmarshal([]byte(answer), &c); err != nil || c.SessionToken == "" {
		t.Fatalf("%s: %v", answer, err)
	}
	return created{id, c.SessionToken}
}

func factorsOf(user string) string {
	return `{"user":{"id":"` + user + `"},"password":{"verifiedAt":"2026-01-01T00:00:00Z"}}`
}

// verified returns the status of a verify, once Redis is not too late for it.
func verified(t *testing.T, api, token string) (code int) {
	t.Helper()
	eventually.Holds(t, "verify without 503", func() bool {
		code, _ = call(t, "GET", api+"/verify", "", "Authorization", "Bearer "+token)
		return code != http.StatusServiceUnavailable
	})
	return code
}

// serveAt serves the sessions under a prefix.
func serveAt(t *testing.T, url, prefix string, more ...string) (p *cloakroom, api string) {
	t.Helper()
	p = launch(t, append([]string{"serve", "--redis-url", url, "--redis-key-prefix", prefix, "--auth-anonymous"}, quick(more...)...))
	api, _ = p.ready(t)
	return p, api
}

// Processes that are killed at any moment are gone on with: in the end both stores have the same.
func TestMove_IsKilledAnywhere(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	where := "--redis-url=" + server.URL()
	p, api := serveAt(t, server.URL(), "a:", "--redis-shards=2")
	var body strings.Builder
	for i := range 8_000 {
		fmt.Fprintf(&body, `{"id":"k%d","sequence":"3","factors":{"user":{"id":"u%d"}},"expirationDate":"2100-01-01T00:00:00Z"}`+"\n", i, i%100)
	}
	want(t, 200, "POST", api+"/v2/sessions/import", body.String())
	for i := range 5 {
		want(t, 200, "DELETE", fmt.Sprintf("%s/v2/sessions/k%d", api, i*100), "")
	}
	p.stop()
	_, whole, _ := once(t, "export", where, "--redis-key-prefix=a:", "--rate=0")
	hasTurn := testdepth.OneIn(t, 3)
	for i, end := range []string{"", ".gz", ".zst"} {
		if !hasTurn(i) {
			continue
		}
		file := filepath.Join(t.TempDir(), "sessions"+end)
		kills := 0
		r := rand.New(rand.NewPCG(uint64(i), 1))
		killed := func(args ...string) bool {
			t.Helper()
			cmd, log := selfCommand(t, args...), newOutput()
			cmd.Stdout, cmd.Stderr = log, log
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			timer := time.AfterFunc(time.Duration(50+r.IntN(400+200*kills))*time.Millisecond, func() { _ = cmd.Process.Kill() })
			err := cmd.Wait()
			if timer.Stop(); err == nil {
				return false
			}
			if !strings.Contains(err.Error(), "killed") {
				t.Fatalf("%v\n%s", err, log)
			}
			kills++
			return true
		}
		for {
			args := []string{"export", where, "--redis-key-prefix=a:", "--file", file, "--rate=8000"}
			if _, err := os.Stat(file); err == nil {
				args = append(args, "--resume")
			}
			if !killed(args...) {
				break
			}
		}
		for killed("import", where, fmt.Sprintf("--redis-key-prefix=b%d:", i), "--redis-shards=1", "--file", file, "--rate=8000") {
		}
		_, again, log := once(t, "export", where, fmt.Sprintf("--redis-key-prefix=b%d:", i), "--rate=0")
		if a, b := sessionsIn(whole), sessionsIn(again); len(a) != 7_995 || len(b) != len(a) {
			t.Errorf("%s: %d sessions, want %d; %s", end, len(b), len(a), log)
		} else {
			for line := range a {
				if !b[line] {
					t.Errorf("%s: missing: %s", end, line)
				}
			}
		}
		if code, out, log := once(t, "audit", where, fmt.Sprintf("--redis-key-prefix=b%d:", i), "--rate=0"); code != exitOK {
			t.Errorf("%s%s", out, log)
		}
		if t.Logf("%s: killed %d times", file, kills); kills == 0 {
			t.Error("nothing was killed")
		}
	}
}

// sessionsIn are the lines of sessions.
func sessionsIn(export string) map[string]bool {
	all := map[string]bool{}
	for line := range strings.Lines(export) {
		if strings.HasPrefix(line, `{"id":`) {
			all[line] = true
		}
	}
	return all
}

// The rights that acl --export prints are enough for an export that follows changes, and let it write nothing.
func TestACL_ForAnExportAlone(t *testing.T) {
	t.Parallel()
	single, cluster := redistest.Start(t), redistest.StartCluster(t, redistest.ClusterConfig{})
	var nodes []*redistest.Server
	for _, n := range cluster.Nodes {
		nodes = append(nodes, n.Server)
	}
	mover := func(url string) string { return strings.Replace(url, "://", "://mover:secret@", 1) }
	for _, at := range []struct {
		url     string
		servers []*redistest.Server
		flags   []string
	}{{single.URL(), []*redistest.Server{single}, nil}, {cluster.URL(), nodes, []string{"--cluster"}}} {
		_, api := serveAt(t, at.url, "cr:")
		for i := range 300 { // more than one chunk
			create(t, api, fmt.Sprint("u", i))
		}
		want(t, 200, "DELETE", api+"/v2/sessions/"+create(t, api, "gone"), "")
		code, out, log := once(t, append([]string{"acl", "--export", "--user=mover"}, at.flags...)...)
		if code != exitOK || strings.Contains(out, "%W~") || strings.Contains(out, "%RW~") || strings.Contains(out, "evalsha") {
			t.Fatalf("%d, %s%s", code, out, log)
		}
		rule := strings.Fields(strings.Replace(out, ">PASSWORD", ">secret", 1))
		for _, s := range at.servers {
			if err := s.Client(t).ACLSetUser(t.Context(), "mover", rule[3:]...).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if code, out, log := once(t, "export", "--redis-url="+mover(at.url)); code != exitOK || len(sessionsIn(out)) != 300 || !strings.Contains(log, "exported 300 sessions, 1 deletion and no end") {
			t.Errorf("%d, %s", code, log)
		}
		p := launch(t, []string{"export", "--redis-url=" + mover(at.url), "--follow"})
		p.until(t, p.stdout, "mark", func(text string) bool { return strings.Contains(text, `{"mark":`) })
		id := create(t, api, "later")
		p.until(t, p.stdout, "new session", func(text string) bool { return strings.Contains(text, `{"id":"`+id) })
		if code := p.stop(); code != exitOK || !strings.Contains(p.stdout.String(), `{"trailer":`) {
			t.Errorf("%d, %s", code, p.stderr)
		}
		for _, s := range at.servers {
			if denied := s.Client(t).ACLLog(t.Context(), 10).Val(); len(denied) > 0 {
				t.Errorf("denied: %+v", denied[0])
			}
		}
	}
	if code, _, log := once(t, "acl", "--export", "--audit"); code != exitUsage || !strings.Contains(log, "--export is the rights of export alone") {
		t.Errorf("%d, %s", code, log)
	}
}

// An export that follows changes goes on behind Sentinels when another server becomes the master.
func TestExport_FollowsThroughAFailover(t *testing.T) {
	t.Parallel()
	sentinels := redistest.StartSentinels(t, redistest.SentinelConfig{})
	_, api := serveAt(t, sentinels.URL(), "cr:")
	before := create(t, api, "before")
	p := launch(t, []string{"export", "--redis-url=" + sentinels.URL(), "--follow"})
	has := func(id string) {
		t.Helper()
		p.until(t, p.stdout, "session "+id, func(text string) bool { return strings.Contains(text, `{"id":"`+id) })
	}
	has(before)
	sentinels.WaitSynced()
	sentinels.Failover()
	var after string
	if !eventually.Within(time.Minute, func() bool {
		code, answer := call(t, "POST", api+"/v2/sessions", `{"checks":{"user":{"userId":"after"}},"lifetime":"3600s"}`)
		var created struct{ SessionID string }
		_ = json.Unmarshal([]byte(answer), &created)
		after = created.SessionID
		return code == http.StatusCreated
	}) {
		t.Fatal("no session is created after the failover")
	}
	has(after)
	if code := p.stop(); code != exitOK || !strings.Contains(p.stderr.String(), " times, because the connection for changes was lost") {
		t.Errorf("%d, %s", code, p.stderr)
	}
}

// Each wrong call is told what to do, and leaves files as they were.
func TestMove_RefusesWrongCalls(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	where := "--redis-url=" + server.URL()
	dir := t.TempDir()
	there := filepath.Join(dir, "there")
	if err := os.WriteFile(there, []byte("mine\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	f := func(wantCode int, wantLog string, args ...string) {
		t.Helper()
		code, _, log := once(t, args...)
		if code != wantCode || !strings.Contains(log, wantLog) {
			t.Errorf("%q: got %d, %s, want %d, %s", args, code, log, wantCode, wantLog)
		}
	}
	f(exitFailed, `there is no store under the key prefix "cr:"`, "export", where)
	if n := server.Client(t).DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("an export of nothing has left %d keys", n)
	}
	p, api := serveAt(t, server.URL(), "cr:", "--redis-shards=4")
	create(t, api, "u")
	p.stop()
	f(exitUsage, "--redis-url is required", "export")
	f(exitUsage, "--redis-url memory: has no sessions before a cloakroom runs", "import", "--redis-url=memory:")
	f(exitUsage, "3 faults", "export", where, "--compress=lz4", "--resume", "--overwrite")
	f(exitUsage, "--follow writes to standard output", "export", where, "--follow", "--file="+there)
	f(exitFailed, there+" is there already: --overwrite writes over it, --resume goes on with it", "export", where, "--file="+there)
	f(exitFailed, "cannot be gone on with: line 1: the first line must be the header", "export", where, "--file="+there, "--resume")
	f(exitFailed, "the first line must be the header", "import", where, "--file="+there)
	if text, err := os.ReadFile(there); string(text) != "mine\n" {
		t.Errorf("the file has %q, %v", text, err)
	}
	f(exitFailed, "are spread over 4 shards, not 2", "export", where, "--redis-shards=2")
	f(exitOK, "exported 1 session, no deletion and no end", "export", where, "--file="+there, "--overwrite")
	if info, err := os.Stat(there); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	f(exitFailed, "the export is complete", "export", where, "--file="+there, "--resume")
	f(exitFailed, "are spread over 4 shards, not 2; to change that", "import", where, "--redis-shards=2", "--file="+there)
	f(exitFailed, "with --upstream-url the sessions here are copies", "import", where, "--upstream-url=https://zitadel.example.com", "--file="+there)
	for _, name := range []string{"export", "import"} {
		if code, out, _ := once(t, name, "--help"); code != exitOK || !strings.HasPrefix(out, "Usage: cloakroom "+name) {
			t.Errorf("%d, %s", code, out)
		}
	}
	whole, err := os.ReadFile(there)
	if err != nil {
		t.Fatal(err)
	}
	var out, log bytes.Buffer
	cut := &program{args: []string{"import", where, "--redis-key-prefix=b:"}, stdin: bytes.NewReader(whole[:len(whole)-30]), stdout: &out, stderr: &log}
	if code := cut.run(t.Context()); code != exitFailed || !strings.Contains(log.String(), "cut off") || !strings.HasPrefix(out.String(), "imported 1 session in ") {
		t.Errorf("%d, %s%s", code, &out, &log)
	}
}

// An import from a pipe to which nobody writes ends when it is told to.
func TestImport_EndsThoughItsPipeDoesNot(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = r.Close(), w.Close() }()
	if _, err := io.WriteString(w, `{"cloakroomExport":{"version":1,"date":"2100-01-01T00:00:00Z","prefix":"a:","shards":1,"sessions":1}}`+"\n"); err != nil {
		t.Fatal(err)
	}
	cmd, log := selfCommand(t, "import", "--redis-url="+server.URL()), newOutput()
	cmd.Stdin, cmd.Stderr = r, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if !eventually.Within(time.Minute, func() bool { return server.Client(t).DBSize(t.Context()).Val() == 1 }) {
		t.Error("it does not begin")
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(log.String(), "interrupted; --from-line 2 goes on there") {
		t.Errorf("%v, %s", err, log)
	}
}
