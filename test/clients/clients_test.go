// Package clients_test lets ZITADEL's own TypeScript client talk to Cloakroom:
// the published packages, against the real program, over real Redis.
package clients_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/nodetest"
	"github.com/cloakroom-dev/cloakroom/internal/programtest"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
)

// patience is for programs: one that does not do its work by then is broken.
const patience = 2 * time.Minute

// The client reads, changes, finds and deletes what was created either way, and
// is told every error, with one shard and with four.
func TestTypeScriptClient(t *testing.T) {
	if !nodetest.Have(t, "node", "npm") {
		return
	}
	nodetest.Install(t)
	bin, err := programtest.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	hasTurn := testdepth.OneIn(t, 4)
	for i, shards := range []int{1, 4} {
		for j, createdBy := range []string{"REST", "client"} {
			if !hasTurn(2*i + j) {
				continue
			}
			t.Run(fmt.Sprintf("shards=%d/created by %s", shards, createdBy), func(t *testing.T) {
				t.Parallel()
				redis := redistest.Start(t)
				c := serve(t, bin, redis, shards)
				c.node(t, "connect", createdBy, "sessions.test.mjs", "search.test.mjs", "values.test.mjs", "errors.test.mjs", "connect.test.mjs", "docs.test.mjs")
				redis.Stop()
				c.node(t, "connect", createdBy, "away.test.mjs")
			})
		}
	}
	hasTurn = testdepth.OneIn(t, 4)
	var turns []string
	for i, spoken := range transports {
		if hasTurn(i) {
			turns = append(turns, spoken)
		}
	}
	t.Run("in front of ZITADEL", func(t *testing.T) {
		t.Parallel()
		inFrontOfZITADEL(t, bin)
	})
	t.Run("clients of the OpenAPI document", func(t *testing.T) {
		t.Parallel()
		c := serve(t, bin, redistest.Start(t), 1)
		generatedTypeScript(t, c)
		generatedGo(t, c)
	})
	t.Run("the listener of gRPC", func(t *testing.T) {
		t.Parallel()
		redis := redistest.Start(t)
		c := serve(t, bin, redis, 1)
		for _, spoken := range turns {
			c.node(t, spoken, "client", "sessions.test.mjs", "search.test.mjs", "values.test.mjs", "errors.test.mjs")
		}
		redis.Stop()
		for _, spoken := range turns {
			c.node(t, spoken, "client", "away.test.mjs")
		}
	})
}

// transports are those of cloakroom.mjs that go to the listener of gRPC.
var transports = []string{
	"grpc", "grpc-web 1.1", "connect binary 1.1", "connect JSON 2", "createServerTransport", "createClientTransport", "grpc-web 2", "connect binary 2",
	"connect binary GET", "connect JSON 1.1",
}

// run runs a command to its end, which must be good.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// callers are the API keys: by name, their user and what they may do.
var callers = map[string][]string{
	"admin":  {"svc-admin", "--permission=session.read", "--permission=session.write", "--permission=session.delete"},
	"reader": {"svc-reader", "--permission=session.read"},
	"writer": {"svc-writer", "--permission=session.write"},
	"org":    {"svc-org", "--permission=session.read@org-2", "--permission=session.write@org-2"},
	"agent":  {"svc-agent", "--agent-id=fp-agent"},
	"nobody": {"svc-nobody"},
}

// cloakroom is the running program.
type cloakroom struct {
	url    string
	grpc   string // URL of the listener of gRPC
	shards int
	keys   map[string]string // secrets by name
}

// serve runs the program until the end of the test.
func serve(t *testing.T, bin string, redis *redistest.Server, shards int) *cloakroom {
	t.Helper()
	c := &cloakroom{shards: shards, keys: map[string]string{}}
	file := filepath.Join(t.TempDir(), "keys.yaml")
	for name, flags := range callers {
		c.keys[name] = programtest.NewKey(t, bin, file, name, append([]string{"--user-id"}, flags...)...)
	}
	c.launch(t, bin, "--redis-url", redis.URL(), "--redis-shards", fmt.Sprint(shards), "--auth-keys-file", file, "--instance-id=instance-1", "--search-max-candidates=25")
	return c
}

// launch runs the program with these flags until the end of the test.
func (c *cloakroom) launch(t *testing.T, bin string, flags ...string) {
	t.Helper()
	cmd := exec.Command(bin, slices.Concat([]string{"serve", "--http-addr=127.0.0.1:0", "--grpc-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0", "--log-format=json"}, flags)...)
	cmd.Env = []string{}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	var read sync.WaitGroup
	ready := make(chan [2]string, 1)
	read.Go(func() {
		for lines := bufio.NewScanner(io.TeeReader(stderr, &log)); lines.Scan(); {
			var line struct{ Msg, HTTP, GRPC string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "ready" {
				ready <- [2]string{"http://" + line.HTTP, "http://" + line.GRPC}
			}
		}
		close(ready)
	})
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		read.Wait() // I7
		if err := cmd.Wait(); err != nil {
			t.Errorf("cloakroom: %v", err)
		}
		if t.Failed() {
			t.Logf("cloakroom wrote:\n%s", log.String())
		}
		for name, secret := range c.keys { // I6
			if strings.Contains(log.String(), secret) || strings.Contains(log.String(), "hunter2") {
				t.Errorf("the log has the key %s, or a password", name)
			}
		}
	})
	select {
	case urls := <-ready:
		c.url, c.grpc = urls[0], urls[1]
	case <-time.After(patience):
	}
	if c.url == "" {
		t.Fatal("cloakroom does not become ready")
	}
}

// node runs tests in Node.js, and fails with what they say. spoken is a transport of
// cloakroom.mjs.
func (c *cloakroom) node(t *testing.T, spoken, createdBy string, files ...string) {
	t.Helper()
	keys, err := json.Marshal(c.keys)
	if err != nil {
		t.Fatal(err)
	}
	nodetest.Run(t, spoken, []string{
		"CLOAKROOM_URL=" + c.url, "CLOAKROOM_GRPC_URL=" + c.grpc, "CLOAKROOM_TRANSPORT=" + spoken, "CLOAKROOM_KEYS=" + string(keys), "CLOAKROOM_CREATED_BY=" + createdBy, fmt.Sprint("CLOAKROOM_SHARDS=", c.shards),
	}, files...)
}
