package gateways

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/programtest"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
)

// rollsEnv is the environment variable that says how often each of the two processes is restarted; else twice, with -short once.
const rollsEnv = "TEST_ROLLS"

// replica is one of several Cloakrooms behind a balancer, which can be restarted where it listens.
type replica struct {
	api, verify, admin string // addresses
	args               []string
	log                string
	p                  *redistest.Process
}

func newReplica(t *testing.T, redisAddr, keys string, flags ...string) *replica {
	t.Helper()
	r := &replica{api: redistest.FreeAddr(t), verify: redistest.FreeAddr(t), admin: redistest.FreeAddr(t), log: filepath.Join(t.TempDir(), "log")}
	r.args = append([]string{
		"serve", "--redis-url", "redis://" + redisAddr + "/0", "--http-addr", r.api, "--admin-addr", r.admin,
		"--verify-addr", r.verify, "--auth-keys-file", keys, "--log-level", "warn",
	}, flags...)
	r.start(t)
	t.Cleanup(func() {
		if !r.p.Stop(programtest.StartTimeout) {
			t.Error("cloakroom ignored SIGTERM")
		}
		if log, err := os.ReadFile(r.log); t.Failed() && err == nil {
			t.Logf("cloakroom at %s wrote:\n%s", r.api, tail(log, 4000))
		}
	})
	return r
}

// start starts r and waits until it is ready.
func (r *replica) start(t *testing.T) {
	t.Helper()
	var err error
	if r.p, err = redistest.StartProcess(r.log, cloakroomBin, r.args...); err != nil {
		t.Fatal(err)
	}
	eventually.Holds(t, "cloakroom is ready", func() bool { return r.get("/readyz") == "ready\n" })
}

// get returns what the admin listener answers, "" if it does not.
func (r *replica) get(path string) string {
	response, err := fresh.Get("http://" + r.admin + path)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return ""
	}
	return string(text)
}

// fresh keeps no connection.
var fresh = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: programtest.StartTimeout}

// served returns how many requests r has answered, of the API and of verify.
func (r *replica) served() (api, verify float64) {
	for line := range strings.Lines(r.get("/metrics")) {
		name := strings.TrimSpace(line) // and the value, after the last space
		n, err := strconv.ParseFloat(name[strings.LastIndexByte(name, ' ')+1:], 64)
		switch {
		case err != nil:
		case strings.HasPrefix(name, "cloakroom_http_requests_total{"):
			api += n
		case strings.HasPrefix(name, "cloakroom_verify_total{"):
			verify += n
		}
	}
	return api, verify
}

// restart ends r as an operator does, and starts it again. It returns when the balancer sends requests again.
func (r *replica) restart(t *testing.T) {
	t.Helper()
	if !r.p.Stop(programtest.StartTimeout) {
		t.Fatal("cloakroom ignored SIGTERM")
	}
	if code := r.p.Code(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	r.start(t)
	if !eventually.Within(programtest.StartTimeout, func() bool { api, verify := r.served(); return api > 20 && verify > 20 }) {
		api, verify := r.served()
		t.Fatalf("the balancer does not come back: it has sent %v requests, and %v to verify", api, verify)
	}
}

// load is steady load on a balancer, by clients that keep their connections.
type load struct {
	api, verify string
	key         string
	mine        *visitor
	processes   []*replica
	pulse       *pulse

	stop  chan struct{}
	ended sync.WaitGroup
	done  [3]atomic.Int64 // by what is asked: those that were answered
	next  atomic.Int64

	mu     sync.Mutex
	failed []string
	told   told
}

// asked are what the load asks, by turns.
var asked = [3]string{"GET a session", "POST a session", "verify"}

func startLoad(t *testing.T, l *load) {
	l.stop = make(chan struct{})
	for range 8 {
		l.ended.Go(l.client)
	}
	t.Cleanup(func() {
		l.end()
		if len(l.failed) > 0 {
			t.Errorf("%d requests failed:\n%s", len(l.failed), strings.Join(l.failed[:min(20, len(l.failed))], "\n"))
		}
		for what, name := range asked {
			t.Logf("%s: %d times", name, l.done[what].Load())
			if l.done[what].Load() == 0 {
				t.Errorf("%s: never", name)
			}
		}
		l.pulse.end()
		stalls := l.pulse.seen()
		t.Logf("told that the store is away: %d times, and that there is no process: %d times; stalls: %d", len(l.told.late), len(l.told.none), len(stalls))
		for _, fault := range l.told.blame(l.next.Load(), stalls) {
			t.Errorf("%s (stalls: %v)", fault, stalls)
		}
		readLogs(t, l.processes)
	})
}

func (l *load) end() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.ended.Wait() // I7
}

func (l *load) client() {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: patience}
	// Steady, and less than the machine can do: what is lost must not hide behind what is late.
	pace := time.NewTicker(16 * time.Millisecond)
	defer pace.Stop()
	for i := 0; ; i++ {
		select {
		case <-l.stop:
			return
		case <-pace.C:
		}
		what := i % len(asked)
		if err := l.ask(client, what); err != nil {
			l.mu.Lock()
			l.failed = append(l.failed, fmt.Sprintf("%s: %s: %v", time.Now().Format("05.000"), asked[what], err))
			l.mu.Unlock()
		}
	}
}

func (l *load) ask(client *http.Client, what int) error {
	method, url, token, body, want := http.MethodGet, "http://"+l.api+"/v2/sessions/"+l.mine.id, l.key, "", http.StatusOK
	switch what {
	case 1:
		method, url, want = http.MethodPost, "http://"+l.api+"/v2/sessions", http.StatusCreated
		body = `{"checks":{"user":{"userId":"rolling"}},"lifetime":"600s"}`
	case 2:
		url, token = "http://"+l.verify+"/", l.mine.token
	}
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Request-Id", fmt.Sprintf("rolling-%d", l.next.Add(1)))
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if response.StatusCode == http.StatusServiceUnavailable {
		// If Redis did not get the processor in time, as on a machine with other work, that is an answer: see blame.
		switch now := time.Now(); {
		case strings.Contains(string(text), "the session store is unavailable"):
			l.mu.Lock()
			defer l.mu.Unlock()
			l.told.late = append(l.told.late, now)
			return nil
		case strings.Contains(string(text), "No server is available"): // HAProxy's
			l.mu.Lock()
			defer l.mu.Unlock()
			l.told.none = append(l.told.none, now)
			return nil
		}
	}
	if err == nil && response.StatusCode != want {
		err = fmt.Errorf("status %d: %.200s", response.StatusCode, text)
	}
	if err == nil {
		l.done[what].Add(1)
	}
	return err
}

// balancer starts a program with its file of deploy/ before two Cloakrooms. It returns where it listens.
type balancer func(t *testing.T, one, two *replica) (api, verify string)

func balanceNginx(t *testing.T, one, two *replica) (api, verify string) {
	t.Helper()
	bin, dir := program(t, "nginx"), t.TempDir()
	api, verify = redistest.FreeAddr(t), redistest.FreeAddr(t)
	included := deployed(t, dir, "nginx/balance.conf", "listen 8080", "listen "+api, "listen 8081", "listen "+verify,
		"127.0.0.1:18080", one.api, "127.0.0.1:28080", two.api, "127.0.0.1:18081", one.verify, "127.0.0.1:28081", two.verify)
	conf := filepath.Join(dir, "nginx.conf")
	err := os.WriteFile(conf, []byte("daemon off; master_process off; pid nginx.pid; error_log stderr;\nevents {}\nhttp { access_log off;\n"+
		"client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;\ninclude "+included+";\n}\n"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	check(t, bin, "-t", "-p", dir, "-c", conf, "-e", "stderr")
	programtest.Start(t, "nginx", "http://"+api+"/", bin, "-p", dir, "-c", conf, "-e", "stderr")
	return api, verify
}

func balanceHAProxy(t *testing.T, one, two *replica) (api, verify string) {
	t.Helper()
	bin, dir := program(t, "haproxy"), t.TempDir()
	api, verify = redistest.FreeAddr(t), redistest.FreeAddr(t)
	conf := deployed(t, dir, "haproxy/balance.cfg", "bind :8080", "bind "+api, "bind :8081", "bind "+verify,
		"127.0.0.1:18080 port 19090", one.api+" port "+portOf(t, one.admin), "127.0.0.1:28080 port 29090", two.api+" port "+portOf(t, two.admin),
		"127.0.0.1:18081 port 19090", one.verify+" port "+portOf(t, one.admin), "127.0.0.1:28081 port 29090", two.verify+" port "+portOf(t, two.admin))
	check(t, bin, "-c", "-f", conf)
	programtest.Start(t, "haproxy", "http://"+api+"/", bin, "-db", "-f", conf)
	return api, verify
}

// TestRollingRestart restarts two processes one after the other under load, behind a balancer with our configuration. No
// request fails, except a few that waited for Redis in vain while the machine was busy, as it is known from elsewhere, and
// each process ends with exit code 0.
func TestRollingRestart(t *testing.T) {
	times := testdepth.Of(2, 1)
	if n, err := strconv.Atoi(os.Getenv(rollsEnv)); err == nil {
		times = n
	}
	for _, b := range []struct {
		name  string
		start balancer
		flags []string // as its file asks for
	}{{"nginx", balanceNginx, []string{"--shutdown-idle", "1s"}}, {"HAProxy", balanceHAProxy, []string{"--shutdown-delay", "1s", "--shutdown-idle", "1s"}}} {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			ours := startCloakroom(t, server.Addr) // for the fixture; no balancer knows it
			one := newReplica(t, server.Addr, ours.keys, b.flags...)
			two := newReplica(t, server.Addr, ours.keys, b.flags...)
			l := &load{key: ours.key, mine: ours.login(t, "rolling"), processes: []*replica{one, two}, pulse: startPulse(t, server.Addr)}
			l.api, l.verify = b.start(t, one, two)
			startLoad(t, l)
			for range times {
				for _, r := range []*replica{one, two} {
					before := l.done[1].Load()
					r.restart(t)
					if l.done[1].Load() == before {
						t.Error("there was no load")
					}
				}
			}
		})
	}
}
