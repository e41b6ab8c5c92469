package redisconn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/listen"
	"github.com/redis/go-redis/v9"
)

// errNoRedis says that there is no server to embed.
var errNoRedis = errors.New("neither redis-server nor valkey-server is on PATH: install one " +
	"(Debian, Ubuntu: apt install redis-server; macOS: brew install redis), " +
	"or give --redis-url the URL of a Redis that runs elsewhere")

const (
	// stopTimeout is how long the embedded server may take to end.
	stopTimeout = 5 * time.Second
	// lockTimeout is how long to wait for a server that a crash left behind.
	lockTimeout = 3 * time.Second
	socketName  = "redis.sock"
	// appendDir is where a durable server keeps the sessions, in its directory.
	appendDir = "appendonlydir"
)

// embedded is a private Redis server. It listens on a unix socket that only
// this user can open, and on no port. Only this user can read its files.
//
// The lock of a given directory is a file lock that the server inherits: as
// long as this process or its server lives, nobody else starts one there.
type embedded struct {
	program string
	dir     string // the server's working directory
	socket  string // absolute path
	durable bool   // keeps sessions across restarts
	private []string
	lock    *os.File
	output  *serverLog
}

// newEmbedded prepares a server in dir, or in a temporary directory if dir is
// "". Run starts it.
func newEmbedded(ctx context.Context, dir string, env []string, log *slog.Logger) (_ *embedded, err error) {
	e := &embedded{durable: dir != "", output: &serverLog{log: log}}
	if e.program = findServer(env); e.program == "" {
		return nil, errNoRedis
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close())
		}
	}()
	if dir == "" {
		if e.dir, err = e.temporary(); err != nil {
			return nil, err
		}
		e.socket = filepath.Join(e.dir, socketName)
		return e, nil
	}
	if e.dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if err = os.MkdirAll(e.dir, 0o700); err != nil {
		return nil, err
	}
	if e.lock, err = lockDir(ctx, e.dir); err != nil {
		return nil, err
	}
	if err = ownDir(filepath.Join(e.dir, appendDir)); err != nil {
		return nil, err
	}
	e.socket = filepath.Join(e.dir, socketName)
	if len(e.socket) > listen.MaxSocketPath {
		short, err := e.temporary()
		if err != nil {
			return nil, err
		}
		e.socket = filepath.Join(short, socketName)
	}
	return e, nil
}

// findServer looks for a server on the PATH of env; "" if there is none.
func findServer(env []string) string {
	var path string
	for _, v := range env {
		if p, ok := strings.CutPrefix(v, "PATH="); ok {
			path = p
		}
	}
	for _, name := range []string{"redis-server", "valkey-server"} {
		for _, dir := range filepath.SplitList(path) {
			if !filepath.IsAbs(dir) {
				continue
			}
			if found, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
				return found
			}
		}
	}
	return ""
}

// temporary makes a directory with a path short enough for a socket; close
// removes it.
func (e *embedded) temporary() (string, error) {
	for _, parent := range []string{os.TempDir(), "/tmp"} {
		dir, err := os.MkdirTemp(parent, "cloakroom-")
		if err != nil {
			return "", err
		}
		e.private = append(e.private, dir)
		if len(dir)+1+len(socketName) <= listen.MaxSocketPath {
			return dir, nil
		}
	}
	return "", errors.New("there is no temporary directory with a path short enough for a unix socket")
}

// lockDir takes the lock of dir. A server that outlived a crash gets some time to end.
func lockDir(ctx context.Context, dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "cloakroom.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("locking %s: %w", dir, err), f.Close())
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("%s is in use by another cloakroom, or by the redis-server that one left behind; "+
				"stop it, or choose another directory", dir), f.Close())
		}
	}
}

// options reach the server.
func (e *embedded) options() *redis.Options {
	return clientOptions(&redis.Options{Network: "unix", Addr: e.socket})
}

// args configure the server: no port, no snapshots, no eviction, and hashes
// that stay compact up to the size of a stored session.
func (e *embedded) args() []string {
	socket, appendOnly := e.socket, "no"
	if filepath.Dir(socket) == e.dir {
		socket = socketName // relative, so that no path needs quoting
	}
	if e.durable {
		appendOnly = "yes"
	}
	return []string{
		"--port", "0", "--unixsocket", socket, "--unixsocketperm", "700",
		"--daemonize", "no", "--logfile", "", "--loglevel", "warning",
		"--save", "", "--appendonly", appendOnly, "--appendfsync", "everysec", "--appenddirname", appendDir,
		"--maxmemory-policy", "noeviction", "--hash-max-listpack-value", "4096",
	}
}

// Run runs the server until ctx ends, then stops it, by force if it takes
// longer than stopTimeout, and cleans up. If the server ends by itself, that
// is an error.
func (e *embedded) Run(ctx context.Context) (err error) {
	// On Linux the server gets SIGTERM when the thread that started it ends,
	// so this goroutine keeps its thread as long as the server lives.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer func() { err = errors.Join(err, e.close()) }()

	cmd := exec.CommandContext(ctx, e.program, e.args()...)
	cmd.Dir = e.dir
	cmd.Env = []string{} // nothing of ours
	cmd.Stdout, cmd.Stderr = e.output, e.output
	cmd.SysProcAttr = processAttributes()
	if e.lock != nil {
		cmd.ExtraFiles = []*os.File{e.lock}
	}
	cmd.Cancel = func() error {
		e.output.warn(false)
		return cmd.Process.Signal(syscall.SIGTERM)
	}
	cmd.WaitDelay = stopTimeout
	ended := startPrivate(cmd)
	if ended == nil {
		ended = cmd.Wait()
	}
	if ctx.Err() != nil {
		return nil
	}
	if ended == nil {
		ended = errors.New("exit status 0")
	}
	return fmt.Errorf("%s ended: %w%s", filepath.Base(e.program), ended, e.output.tail())
}

// close removes what is temporary and gives up the lock.
func (e *embedded) close() error {
	var all []error
	for _, dir := range e.private {
		all = append(all, os.RemoveAll(dir))
	}
	if e.lock != nil {
		all = append(all, e.lock.Close())
	}
	return errors.Join(all...)
}
