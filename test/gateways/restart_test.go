package gateways

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/programtest"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
)

// restarts is how often the only process is replaced.
func restarts() int { return testdepth.Of(3, 1) }

// patientRedis are time-outs that a busy machine does not reach.
const patientRedis = "?dial_timeout=20s&read_timeout=20s&write_timeout=20s&pool_timeout=20s"

// lone is a Cloakroom without another one beside it, which is replaced while it is asked.
type lone struct {
	api, verify string // addresses, HOST:PORT or unix:PATH
	args        []string
	log         string
	sockets     []*os.File // of api and verify, which the parent keeps; none if the process opens its own
	cmd         *exec.Cmd
	ended       chan struct{} // closed when cmd has
}

// start starts the next process and waits until it is ready.
func (l *lone) start(t *testing.T) {
	t.Helper()
	admin := redistest.FreeAddr(t) // of its own, because another process may run beside it
	log, err := os.OpenFile(l.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	args := append([]string{"-c", `LISTEN_PID=$$ exec "$0" "$@"`, cloakroomBin}, l.args...)
	cmd := exec.Command("/bin/sh", append(args, "--admin-addr", admin)...)
	cmd.Stderr, cmd.ExtraFiles = log, l.sockets
	if l.sockets != nil {
		cmd.Env = append(os.Environ(), fmt.Sprint("LISTEN_FDS=", len(l.sockets)), "LISTEN_FDNAMES=http:verify")
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // stop looks how it ended
	}()
	l.cmd, l.ended = cmd, ended
	eventually.Holds(t, "cloakroom is ready", func() bool { return (&replica{admin: admin}).get("/readyz") == "ready\n" })
}

// stop ends a process as an operator does.
func stop(t *testing.T, cmd *exec.Cmd, ended <-chan struct{}) {
	t.Helper()
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(programtest.StartTimeout):
		_ = cmd.Process.Kill()
		<-ended
	}
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// checks asks all the time, until it is ended.
type checks struct {
	ended  sync.WaitGroup
	finish chan struct{}
	good   atomic.Int64
	late   atomic.Int64 // which Redis did not answer within verify's 100 ms: once in thousands of times where other work takes all processors
	mu     sync.Mutex
	failed []string

	// How many processes were about to crash, have crashed, and have a next one that is ready.
	dying, dead, replaced atomic.Int64
	cut                   atomic.Int64 // which a crash may have met, and which failed
	waited                atomic.Int64 // which began when there was no process, and were answered
}

// ask lets several clients ask url. They dial addr, and keep no connection if fresh.
func (c *checks) ask(name, url, addr, token string, fresh bool) {
	network, path := "tcp", addr
	if p, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, path = "unix", p
	}
	for range 4 {
		c.ended.Go(func() {
			transport := &http.Transport{DisableKeepAlives: fresh, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, path)
			}}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport, Timeout: patience}
			pace := time.NewTicker(4 * time.Millisecond)
			defer pace.Stop()
			for {
				select {
				case <-c.finish:
					return
				case <-pace.C:
				}
				replaced, dead := c.replaced.Load(), c.dead.Load()
				err := c.once(client, url, token)
				switch {
				case err == nil && dead > replaced:
					c.waited.Add(1)
				case err == nil:
				case c.dying.Load() > dead:
					c.cut.Add(1)
				default:
					c.mu.Lock()
					c.failed = append(c.failed, fmt.Sprintf("%s: %s: %v", time.Now().Format("05.000"), name, err))
					c.mu.Unlock()
				}
			}
		})
	}
}

func (c *checks) once(client *http.Client, url, token string) error {
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return err
	case response.StatusCode == http.StatusOK:
		c.good.Add(1)
	case response.StatusCode == http.StatusServiceUnavailable && response.Header.Get("X-Auth-Reason") == "store_unavailable":
		c.late.Add(1)
	default:
		return fmt.Errorf("status %d: %.200s", response.StatusCode, text)
	}
	return nil
}

// more waits until so many more were answered.
func (c *checks) more(t *testing.T, n int64) {
	t.Helper()
	before := c.good.Load()
	eventually.Holds(t, "more is answered", func() bool { return c.good.Load() >= before+n })
}

func (c *checks) end(t *testing.T) {
	close(c.finish)
	c.ended.Wait() // I7
	if late := c.late.Load(); late > c.good.Load()/20 {
		t.Errorf("%d were late, which are too many for a busy machine", late)
	}
	t.Logf("%d answered, %d late, %d cut off by crashes, %d waited", c.good.Load(), c.late.Load(), c.cut.Load(), c.waited.Load())
	if len(c.failed) > 0 {
		t.Errorf("%d failed:\n%s", len(c.failed), strings.Join(c.failed[:min(20, len(c.failed))], "\n"))
	}
}

// patientNginx is deploy/nginx, which waits so long that a busy machine makes no answer late, and hands on why verify refuses.
func patientNginx() nginx {
	return nginx{with: change("nginx/cloakroom.conf",
		[]string{"proxy_connect_timeout 100ms", "proxy_connect_timeout 20s"},
		[]string{"proxy_send_timeout 200ms", "proxy_send_timeout 20s"},
		[]string{"proxy_read_timeout 200ms", "proxy_read_timeout 20s"},
		before("        auth_request_set $session_id ", "        auth_request_set $reason $upstream_http_x_auth_reason;\n"),
		after("        add_header Retry-After 1 always;\n", "        add_header X-Auth-Reason $reason always;\n"))}
}

// TestRestartOfALoneProcess replaces the only process under load: by nginx, which keeps connections, and by clients that open
// one for each check. Nobody is refused, nor told that the store is unavailable, whether the sockets are the parent's, as with systemd, or two processes share them.
func TestRestartOfALoneProcess(t *testing.T) {
	t.Parallel()
	for _, f := range []struct{ how, network string }{{"sockets", "tcp"}, {"sockets", "unix"}, {"reuse port", "tcp"}} {
		t.Run(f.how+"/"+f.network, func(t *testing.T) {
			t.Parallel()
			l, c := loneUnderLoad(t, f.network, f.how == "sockets")
			defer c.end(t)
			for range restarts() {
				c.more(t, 100)
				cmd, ended := l.cmd, l.ended
				if l.sockets == nil {
					l.start(t)
					c.more(t, 100)
				}
				stop(t, cmd, ended)
				if l.sockets != nil {
					l.start(t)
				}
			}
			c.more(t, 100)
		})
	}
}

// TestCrashOfALoneProcess kills the only process under load. The sockets are the parent's, as with systemd. What it was at fails; who
// connects from then on waits in the sockets' queues, and is answered by the next process.
func TestCrashOfALoneProcess(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			l, c := loneUnderLoad(t, network, true)
			defer c.end(t)
			for n := 0; n < restarts() || n < 20 && c.waited.Load() == 0; n++ { // a start is so fast that often nobody asks meanwhile
				c.more(t, 100)
				c.dying.Add(1)
				_ = l.cmd.Process.Kill()
				<-l.ended
				c.dead.Add(1)
				l.start(t)
				c.replaced.Add(1)
			}
			c.more(t, 100)
			if c.waited.Load() == 0 {
				t.Error("nobody has waited")
			}
		})
	}
}

// loneUnderLoad starts a lone process, whose sockets are the parent's or its own, and clients that ask it: by nginx, which keeps
// connections, and with a connection for each check.
func loneUnderLoad(t *testing.T, network string, sockets bool) (*lone, *checks) {
	t.Helper()
	server := redistest.Start(t)
	ours := startCloakroom(t, server.Addr) // for the fixture alone
	visitor := ours.login(t, "lone")
	dir, err := os.MkdirTemp("/tmp", "cr")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l := &lone{api: redistest.FreeAddr(t), verify: redistest.FreeAddr(t), log: filepath.Join(dir, "log")}
	if network == "unix" {
		l.verify = "unix:" + filepath.Join(dir, "verify")
	}
	l.args = []string{"serve", "--redis-url", "redis://" + server.Addr + "/0" + patientRedis, "--auth-keys-file", ours.keys, "--log-level", "warn"}
	if sockets {
		l.sockets = []*os.File{parentSocket(t, l.api), parentSocket(t, l.verify)}
	} else {
		l.args = append(l.args, "--reuse-port", "--shutdown-idle", "1s", "--http-addr", l.api, "--verify-addr", l.verify)
	}
	l.start(t)
	t.Cleanup(func() {
		stop(t, l.cmd, l.ended)
		if log, err := os.ReadFile(l.log); t.Failed() && err == nil {
			t.Logf("cloakroom wrote:\n%s", tail(log, 4000))
		}
	})
	gateway := patientNginx().Start(t, l.verify, startApplication(t).addr)
	c := &checks{finish: make(chan struct{})}
	c.ask("nginx", "http://application/", gateway, visitor.token, false)
	c.ask("a connection for each check", "http://verify/", l.verify, visitor.token, true)
	c.ask("the API", "http://api/v2/sessions/"+visitor.id, l.api, ours.key, true)
	return l, c
}

// parentSocket opens a socket that outlives the processes which listen on it.
func parentSocket(t *testing.T, addr string) *os.File {
	t.Helper()
	network, path := "tcp", addr
	if p, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, path = "unix", p
	}
	file, _ := testfile.Socket(t, network, path)
	return file
}
