package torture

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// patience is how long these tests wait for what must come.
const patience = 45 * time.Second

// sidecar is a cloakroom process, which may be killed and started again at the same addresses.
type sidecar struct {
	n          int // its number in histories
	api, admin string
	bin        string
	args       []string
	logFile    string
	http       *http.Client
	noCopies   bool               // the near cache is off
	proc       *redistest.Process // nil while it is down
}

// newSidecar prepares a process over the Redis at url, the n-th of a history.
func newSidecar(t testing.TB, n int, url string, flags ...string) *sidecar {
	t.Helper()
	dir := t.TempDir()
	c := &sidecar{
		n: n, api: redistest.FreeAddr(t), admin: redistest.FreeAddr(t),
		bin: cloakroomBin, logFile: filepath.Join(dir, "log"),
		http: &http.Client{
			Timeout:   callTimeout,
			Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
		},
	}
	c.args = append([]string{
		"serve", "--redis-url", url, "--http-addr", c.api, "--admin-addr", c.admin, "--auth-keys-file", keysFile, "--log-level", "warn",
	}, flags...)
	t.Cleanup(func() {
		c.http.CloseIdleConnections()
		c.stop(t)
		c.readLog(t)
	})
	return c
}

// startSidecar is newSidecar that runs, and is ready.
func startSidecar(t testing.TB, n int, url string, flags ...string) *sidecar {
	t.Helper()
	c := newSidecar(t, n, url, flags...)
	if err := c.start(); err != nil {
		t.Fatal(err)
	}
	return c
}

// start runs the process and waits until it is ready.
func (c *sidecar) start() error {
	if err := c.run(); err != nil {
		return err
	}
	return c.wait()
}

// run runs the process, which need not become ready.
func (c *sidecar) run() (err error) {
	c.proc, err = redistest.StartProcess(c.logFile, c.bin, c.args...)
	return err
}

// wait waits until the process is ready.
func (c *sidecar) wait() error {
	p, ended := c.proc, false
	ok := eventually.Within(patience, func() bool {
		select {
		case <-p.Done():
			ended = true
			return true
		default:
		}
		return c.ready()
	})
	if ended || !ok {
		return fmt.Errorf("cloakroom does not start; its log:\n%s", c.tail())
	}
	return nil
}

// ready asks /readyz.
func (c *sidecar) ready() bool {
	ready, _ := c.readiness()
	return ready
}

// readiness asks /readyz, and returns its words too.
func (c *sidecar) readiness() (ready bool, says string) {
	response, err := c.http.Get("http://" + c.admin + "/readyz")
	if err != nil {
		return false, err.Error()
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body) // what was read is told
	return response.StatusCode == http.StatusOK, strings.TrimSpace(string(text))
}

// kill ends the process as a crash would.
func (c *sidecar) kill() {
	if c.proc != nil {
		c.proc.Kill()
		c.proc = nil
	}
}

// stop ends the process in order.
func (c *sidecar) stop(t testing.TB) {
	t.Helper()
	if c.proc == nil {
		return
	}
	select {
	case <-c.proc.Done():
		t.Errorf("process %d has ended by itself", c.n)
	default:
	}
	if !c.proc.Stop(patience) {
		t.Errorf("process %d ignored SIGTERM", c.n)
	}
	c.proc = nil
}

// readLog looks for what must never be in it.
func (c *sidecar) readLog(t testing.TB) {
	t.Helper()
	log, err := os.ReadFile(c.logFile)
	if err != nil {
		return // never started
	}
	for line := range bytes.Lines(log) {
		for _, bad := range []string{"DATA RACE", "panic:", "BUG:", "fatal error:"} {
			if bytes.Contains(line, []byte(bad)) {
				t.Errorf("process %d logged: %s", c.n, line)
			}
		}
	}
	if t.Failed() {
		t.Logf("process %d logged at the end:\n%s", c.n, c.tail())
	}
}

func (c *sidecar) tail() []byte {
	log, _ := os.ReadFile(c.logFile)
	return log[max(0, len(log)-6000):]
}

// metric reads one of the process's metrics, by its name and labels as they stand in /metrics.
func (c *sidecar) metric(name string) (float64, error) {
	response, err := c.http.Get("http://" + c.admin + "/metrics")
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("process %d has no metric %s: %v", c.n, name, lines.Err())
}

// linked says whether copies are used in the process, if it has any.
func (c *sidecar) linked(bound time.Duration) bool {
	if c.noCopies {
		return true
	}
	up, err := c.metric("cloakroom_near_link_up")
	if err != nil || up != 1 {
		return false
	}
	age, err := c.metric("cloakroom_near_proof_age_seconds")
	return err == nil && age >= 0 && age < bound.Seconds()
}

// during calls step again and again, every so often, until d is over.
func during(d, every time.Duration, step func()) {
	timer, tick := time.NewTimer(d), time.NewTicker(max(every, time.Millisecond))
	defer timer.Stop()
	defer tick.Stop()
	for {
		step()
		select {
		case <-timer.C:
			return
		case <-tick.C:
		}
	}
}
