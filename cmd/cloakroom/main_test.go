package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/followed"
	"github.com/cloakroom-dev/cloakroom/internal/leaks"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
	"github.com/redis/go-redis/v9"
)

// asProgram makes the test binary behave as cloakroom itself.
const asProgram = "TEST_AS_CLOAKROOM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	testdepth.Parallel(4) // most wait
	redis.SetLogger(noLog{})
	// I7: whatever a test starts has ended.
	leaks.Verify(m)
}

// output collects what the program writes, and wakes those that wait for it.
type output struct {
	mu      sync.Mutex
	text    []byte
	changed chan struct{}
}

func newOutput() *output { return &output{changed: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	close(o.changed)
	o.changed = make(chan struct{})
	return len(p), nil
}

func (o *output) get() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text), o.changed
}

func (o *output) String() string { s, _ := o.get(); return s }

// cloakroom is the running program.
type cloakroom struct {
	stdout, stderr *output
	hangup         chan os.Signal
	cancel         context.CancelFunc
	ended          chan struct{}
	code           int
}

// launch runs the program with the PATH of the test, and more environment.
func launch(t *testing.T, args []string, env ...string) *cloakroom {
	t.Helper()
	return launchIn(t, args, append([]string{"PATH=" + os.Getenv("PATH")}, env...))
}

func launchIn(t *testing.T, args, env []string) *cloakroom {
	t.Helper()
	return launchProgram(t, &program{args: args, env: env, lookEvery: followed.Every})
}

// launchProgram runs a program; its outputs and signals are those of the result.
func launchProgram(t *testing.T, prog *program) *cloakroom {
	t.Helper()
	args := prog.args
	ctx, cancel := context.WithCancel(context.Background())
	p := &cloakroom{stdout: newOutput(), stderr: newOutput(), hangup: make(chan os.Signal), cancel: cancel, ended: make(chan struct{})}
	prog.stdin, prog.stdout, prog.stderr, prog.hangup = os.Stdin, p.stdout, p.stderr, p.hangup
	go func() {
		defer close(p.ended)
		p.code = prog.run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-p.ended
		if t.Failed() {
			t.Logf("%q wrote:\n%s%s", args, p.stdout, p.stderr)
		}
	})
	return p
}

// quick are the flags of a server that takes ports of its own.
func quick(more ...string) []string {
	return append([]string{"--http-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0", "--log-format=json"}, more...)
}

// until waits until done says so about what the program has written to o.
func (p *cloakroom) until(t *testing.T, o *output, what string, done func(text string) bool) {
	t.Helper()
	deadline := time.After(2 * time.Minute) // it may be one of many programs on a small machine
	for {
		text, changed := o.get()
		if done(text) {
			return
		}
		select {
		case <-changed:
		case <-p.ended:
			if text, _ := o.get(); done(text) {
				return
			}
			t.Fatalf("the program ended with code %d before %s", p.code, what)
		case <-deadline:
			t.Fatalf("no %s", what)
		}
	}
}

// logged waits for the n-th log line with this message and returns it.
func (p *cloakroom) logged(t *testing.T, message string, n int) map[string]any {
	t.Helper()
	var found map[string]any
	p.until(t, p.stderr, fmt.Sprintf("log line %q no. %d", message, n), func(text string) bool {
		seen := 0
		for line := range strings.Lines(text) {
			var fields map[string]any
			if !strings.HasSuffix(line, "\n") || json.Unmarshal([]byte(line), &fields) != nil || fields["msg"] != message {
				continue
			}
			if seen++; seen == n {
				found = fields
				return true
			}
		}
		return false
	})
	return found
}

// ready waits until the program serves and returns the two base URLs.
func (p *cloakroom) ready(t *testing.T) (api, admin string) {
	t.Helper()
	line := p.logged(t, "ready", 1)
	return fmt.Sprint("http://", line["http"]), fmt.Sprint("http://", line["admin"])
}

// wait returns the exit code.
func (p *cloakroom) wait() int {
	<-p.ended
	return p.code
}

// stop ends the program as SIGTERM does and returns the exit code.
func (p *cloakroom) stop() int {
	p.cancel()
	return p.wait()
}

// client keeps no connection, so that none outlives its test.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}

// call sends a request and returns the status and the body.
func call(t *testing.T, method, url, body string, header ...string) (int, string) {
	t.Helper()
	return callWith(t, client, method, url, body, header...)
}

// callWith is call by another client.
func callWith(t *testing.T, client *http.Client, method, url, body string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// want fails the test unless a call has this status; it returns the body.
func want(t *testing.T, status int, method, url, body string, header ...string) string {
	t.Helper()
	got, answer := call(t, method, url, body, header...)
	if got != status {
		t.Fatalf("%s %s: got %d %s, want %d", method, url, got, answer, status)
	}
	return answer
}

// awaitStatus calls until it gets this status: a client needs a moment to see
// that its Redis is back.
func awaitStatus(t *testing.T, status int, url string) {
	t.Helper()
	awaitAnswer(t, status, url, "")
}

// awaitAnswer calls until it gets this status, with this text in the answer.
func awaitAnswer(t *testing.T, status int, url, text string) {
	t.Helper()
	var got int
	var answer string
	if !eventually.Within(time.Minute, func() bool {
		got, answer = call(t, "GET", url, "")
		return got == status && strings.Contains(answer, text)
	}) {
		t.Fatalf("%s: got %d %s, want %d %s", url, got, answer, status, text)
	}
}

// create stores a session of a user and returns its ID.
func create(t *testing.T, api, user string, header ...string) string {
	t.Helper()
	answer := want(t, http.StatusCreated, "POST", api+"/v2/sessions", `{"checks":{"user":{"userId":"`+user+`"}},"lifetime":"3600s"}`, header...)
	var created struct{ SessionID string }
	if err := json.Unmarshal([]byte(answer), &created); err != nil || created.SessionID == "" {
		t.Fatalf("%s: %v", answer, err)
	}
	return created.SessionID
}

// total searches and returns totalResult.
func total(t *testing.T, api, body string, header ...string) string {
	t.Helper()
	var found struct{ Details struct{ TotalResult string } }
	answer := want(t, http.StatusOK, "POST", api+"/v2/sessions/search", body, header...)
	if err := json.Unmarshal([]byte(answer), &found); err != nil {
		t.Fatalf("%s: %v", answer, err)
	}
	return found.Details.TotalResult
}

// once runs a subcommand that ends by itself.
func once(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, log bytes.Buffer
	code = run(t.Context(), args, []string{"PATH=" + os.Getenv("PATH")}, &out, &log, nil)
	return code, out.String(), log.String()
}

func TestSubcommands(t *testing.T) {
	f := func(wantCode int, wantOut, wantErr string, args ...string) {
		t.Helper()
		code, out, log := once(t, args...)
		if code != wantCode || !strings.Contains(out, wantOut) || !strings.Contains(log, wantErr) {
			t.Errorf("%q: got %d, %q, %q", args, code, out, log)
		}
		if (wantOut == "") != (out == "") || (wantErr == "") != (log == "") {
			t.Errorf("%q: wrote to the wrong output: %q, %q", args, out, log)
		}
	}
	f(exitOK, "Usage: cloakroom SUBCOMMAND", "")
	f(exitOK, "serve", "", "help")
	f(exitOK, "serve", "", "--help")
	f(exitUsage, "", `unknown subcommand "serv"`, "serv")
	f(exitOK, "commit ", "", "version")
	f(exitOK, "go1.", "", "version")
	f(exitUsage, "", "takes no arguments", "version", "x")
	f(exitOK, "--search-max-candidates", "", "serve", "--help")
	f(exitOK, "default embedded:", "", "dev", "-h")
	f(exitUsage, "", "cloakroom serve: 2 faults:\n  - --redis-url is required", "serve")
	f(exitUsage, "", "--auth-anonymous is refused because --http-addr 0.0.0.0:1", "serve", "--redis-url=memory:", "--auth-anonymous", "--http-addr=0.0.0.0:1")
	f(exitUsage, "", "key new", "key")
	f(exitUsage, "", "key new", "key", "old")
	f(exitOK, "--permission", "", "key", "--help")
	f(exitOK, "--permission", "", "key", "new", "-h")
}

func TestMainIsAProgram(t *testing.T) {
	out, err := selfCommand(t, "version").Output()
	if err != nil || !bytes.Contains(out, []byte("cloakroom ")) {
		t.Errorf("got %q, %v", out, err)
	}
}
