// Package redistest gives a test what it needs to see real Redis behaviour, good and bad: a private redis-server
// process (Start), a cluster of them (StartCluster) or a master with replicas and Sentinels (StartSentinels), a TCP proxy in front of it that delays, stalls and cuts (NewProxy), and a go-redis hook that cuts a
// write between any two of its round trips (Faults).
//
// It is for tests only. It never replaces Redis by an imitation, and it never skips: a test that cannot have its server
// fails, and says how to install one.
package redistest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	startTimeout = 10 * time.Second // a server that does not answer by then is broken
	replyTimeout = time.Minute      // how long clients wait
	stopTimeout  = 10 * time.Second // a server that ignores SIGTERM for so long is killed
	startTries   = 5                // other processes may take the port between our look and the server's bind
)

// Server is a redis-server process of one test. Its methods fail that test when the process does not obey; they must
// not be called from several goroutines at once.
type Server struct {
	// Addr is the TCP address, "127.0.0.1:port". It stays the same over Restart.
	Addr string
	// Socket is the path of the unix socket. It stays the same over Restart.
	Socket string

	t      testing.TB
	bin    string
	args   []string
	dir    string
	conf   []string
	access Access
	// ownConf says that the server keeps its configuration file itself, once it has one.
	ownConf bool
	proc    *Process // nil while the server is down
	paused  bool
	asks    *redis.Client // see admin
}

// Start starts a redis-server (or valkey-server) found on PATH, with a directory of its own, and waits until it answers.
// It keeps nothing on disk unless conf says so; each conf is a line of redis.conf such as "maxmemory 20mb", and wins over
// our defaults. The server is killed at the end of the test, and by the kernel if the test's process dies (on Linux).
// A start takes about 12 ms: a test has its own server, and empties it where it needs an empty one more than once.
func Start(t testing.TB, conf ...string) *Server {
	t.Helper()
	return StartWith(t, Access{}, conf...)
}

// StartWith is Start for a server that asks for access.
func StartWith(t testing.TB, access Access, conf ...string) *Server {
	t.Helper()
	s := prepare(t, conf...)
	s.access = access
	var err error
	for range startTries {
		s.Addr = FreeAddr(t)
		if err = s.start(); err == nil {
			return s
		}
	}
	t.Fatal(err)
	return nil
}

// prepare makes a server that is not started yet, and has no address. What it leaves is cleared at the end of the test.
func prepare(t testing.TB, conf ...string) *Server {
	t.Helper()
	bin, err := lookPath()
	if err != nil {
		t.Fatal(err)
	}
	// Not t.TempDir: it holds the test's name, and a unix socket's path is limited to 107 bytes.
	dir, err := os.MkdirTemp("", "cr")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, bin: bin, dir: dir, conf: conf, Socket: filepath.Join(dir, "s")}
	t.Cleanup(func() {
		s.Kill() // Stop would wait for the server's next 100 ms tick, for files that are removed now
		// A child that saves may still write there until it notices.
		var err error
		if !eventually.Within(5*time.Second, func() bool { err = os.RemoveAll(dir); return err == nil }) {
			t.Errorf("redistest: %v", err)
		}
	})
	return s
}

func lookPath() (string, error) {
	for _, name := range []string{"redis-server", "valkey-server"} {
		if bin, err := exec.LookPath(name); err == nil {
			return bin, nil
		}
	}
	return "", errors.New("redistest: neither redis-server nor valkey-server is on PATH; " +
		"`make test` installs it, or: apt-get install redis-server, apk add redis, dnf install redis, brew install redis")
}

// FreeAddr returns a loopback address that nobody listens on, and that this process has not been given before. Its port is
// below the range that the kernel hands out for outgoing connections (32768 and up on Linux), so that none of those takes it
// while a server is down for a restart.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for range 1000 {
		port := 12000 + rand.IntN(20000)
		if !given.first(port) {
			continue
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if l, err := net.Listen("tcp", addr); err == nil {
			closeListener(l)
			return addr
		}
	}
	t.Fatal("redistest: no free port on 127.0.0.1")
	return ""
}

// given are the ports that FreeAddr has returned: one that is to be listened on soon is free to everybody until then.
var given ports

type ports struct {
	mu   sync.Mutex
	seen map[int]bool
}

// first says whether port is asked for the first time, in the last 10,000.
func (p *ports) first(port int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen[port] {
		return false
	}
	if p.seen == nil || len(p.seen) >= 10000 {
		p.seen = map[int]bool{}
	}
	p.seen[port] = true
	return true
}

// closeListener closes l. Its port refuses from then on, and is free: while another goroutine forks a process, that has a
// copy of l for a moment, and a mere Close would leave the copy listening.
func closeListener(l net.Listener) {
	if raw, err := l.(*net.TCPListener).SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = syscall.Shutdown(int(fd), syscall.SHUT_RDWR) })
	}
	l.Close()
}

// start runs the process and waits until it answers.
func (s *Server) start() error {
	file, logFile := filepath.Join(s.dir, "redis.conf"), filepath.Join(s.dir, "log")
	if _, err := os.Stat(file); err != nil || !s.ownConf {
		lines := append([]string{
			"bind 127.0.0.1",
			"unixsocket " + s.Socket,
			"dir " + s.dir,
			"daemonize no",
			`save ""`,
			"appendonly no",
		}, s.access.listen(port(s.Addr))...)
		lines = append(lines, s.conf...)
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			return err
		}
	}
	proc, err := StartProcess(logFile, s.bin, append([]string{file}, s.args...)...)
	if err != nil {
		return err
	}
	if err := s.waitReady(proc); err != nil {
		proc.Kill()
		log, _ := os.ReadFile(logFile)
		return fmt.Errorf("redistest: %s did not start: %w; its log:\n%s", s.bin, err, log)
	}
	s.proc = proc
	return nil
}

// waitReady pings over the unix socket: it is ours for certain, while the TCP port could be answered by somebody else's
// server. Redis listens on TCP first, and exits if it cannot.
func (s *Server) waitReady(proc *Process) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		err := ping(ctx, s.Socket)
		if err == nil {
			return nil
		}
		select {
		case <-proc.done:
			return errors.New("it exited")
		case <-ctx.Done():
			return fmt.Errorf("no answer after %v: %w", startTimeout, err)
		case <-tick.C:
		}
	}
}

// ping asks once whether the server is ready. While it loads its data, Redis answers -LOADING.
func ping(ctx context.Context, socket string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	buf := make([]byte, 512)
	n, err := conn.Read(buf)
	if err != nil {
		return err
	}
	// With requirepass the server is as ready as without.
	if reply := string(buf[:n]); !strings.HasPrefix(reply, "+PONG") && !strings.HasPrefix(reply, "-NOAUTH") {
		return fmt.Errorf("PING was answered by %q", reply)
	}
	return nil
}

// port returns the port of an address.
func port(addr string) string {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		panic(err) // addresses come from FreeAddr
	}
	return port
}

// URL returns the server's address as a redis:// URL.
func (s *Server) URL() string { return s.access.url("") + s.Addr + "/0" }

// Client returns a client of the server over TCP, closed at the end of t. It does not retry, honours the deadlines of
// contexts, and sends pipelines over the same connections as single commands. It waits a minute for a reply: on a busy
// machine one may take seconds. Each option may change its settings, for example Addr to go through a Proxy.
func (s *Server) Client(t testing.TB, options ...func(*redis.Options)) *redis.Client {
	t.Helper()
	o := &redis.Options{
		Addr:                     s.Addr,
		Protocol:                 3,
		MaxRetries:               -1,
		PipelinePoolSize:         -1,
		ReadTimeout:              replyTimeout,
		WriteTimeout:             replyTimeout,
		PoolTimeout:              replyTimeout,
		ContextTimeoutEnabled:    true,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		Username:                 s.access.User,
		Password:                 s.access.Password,
		TLSConfig:                s.access.tlsConfig(),
	}
	for _, option := range options {
		option(o)
	}
	c := redis.NewClient(o)
	t.Cleanup(func() {
		if err := c.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
			t.Errorf("redistest: close the client: %v", err)
		}
	})
	return c
}

// Kill ends the server with SIGKILL, as a crash would, and waits until it is gone. Nothing happens if it is down.
func (s *Server) Kill() {
	if s.proc != nil {
		s.proc.Kill()
		s.proc, s.paused = nil, false
	}
}

// Stop ends the server with SIGTERM, and waits until it is gone; a server that does not obey is killed and the test
// fails. A paused server is resumed first. Nothing happens if it is down.
func (s *Server) Stop() {
	s.t.Helper()
	if s.proc == nil {
		return
	}
	if !s.proc.Stop(stopTimeout) {
		s.t.Errorf("redistest: the server ignored SIGTERM for %v", stopTimeout)
	}
	s.proc, s.paused = nil, false
}

// Restart stops the server if it runs, and starts it again at the same addresses with the same configuration and
// directory. Only what the configuration made it keep on disk survives.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	if err := s.start(); err != nil {
		s.t.Fatal(err)
	}
}

// Pause freezes the server with SIGSTOP: connections stay open and new ones are accepted by the kernel, but nothing is
// answered until Resume. When it returns, the server no longer runs (on Linux; elsewhere it stops a moment later).
func (s *Server) Pause() {
	s.t.Helper()
	s.signal(syscall.SIGSTOP)
	if err := waitStopped(s.proc.pid()); err != nil {
		s.t.Fatalf("redistest: pause: %v", err)
	}
	s.paused = true
}

// Resume ends a Pause.
func (s *Server) Resume() {
	s.t.Helper()
	s.signal(syscall.SIGCONT)
	s.paused = false
}

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if s.proc == nil {
		s.t.Fatalf("redistest: %v: the server is down", sig)
	}
	if err := s.proc.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("redistest: %v: %v", sig, err)
	}
}

// Configure adds lines of redis.conf, which hold from the next start on and win over earlier ones.
func (s *Server) Configure(conf ...string) {
	s.conf = append(s.conf[:len(s.conf):len(s.conf)], conf...)
}
