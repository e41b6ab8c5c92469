package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// isGone waits until there is no process of this ID any more.
func isGone(t *testing.T, pid int) {
	t.Helper()
	eventually.Holds(t, fmt.Sprintf("process %d is gone", pid), func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
}

// A user who closes the terminal of dev leaves no process behind, nor does `dev 2>&1 | tee log`, whose log nobody reads then.
func TestClosedTerminalEndsDev(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	user, tty := openTerminal(t)
	log := newOutput()
	cmd := selfCommand(t, append([]string{"dev", "--redis-url=embedded:" + dir}, quick()...)...)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, writer
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	tty.Close()
	writer.Close()
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, _ = io.Copy(log, reader)
	}()
	(&cloakroom{stderr: log}).logged(t, "ready", 1)
	server := serverOf(t, dir)
	reader.Close()
	<-copied
	if err := user.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, log)
	}
	isGone(t, server)
}

// A command that only prints ends when its output is closed, as in `serve --help | head`. dev goes on serving.
func TestClosedOutput(t *testing.T) {
	t.Parallel()
	closed := func() *os.File {
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		reader.Close()
		t.Cleanup(func() { writer.Close() })
		return writer
	}
	for _, args := range [][]string{{"serve", "--help"}, {"dev", "--print-config"}, {"version"}} {
		cmd, log := selfCommand(t, args...), newOutput()
		cmd.Stdout, cmd.Stderr = closed(), log
		var exit *exec.ExitError
		if err := cmd.Run(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGPIPE || strings.Contains(log.String(), "broken pipe") {
			t.Errorf("%q: %v\n%s", args, err, log)
		}
	}
	cmd, log := selfCommand(t, append([]string{"dev", "--redis-url=memory:"}, quick()...)...), newOutput()
	cmd.Stdout, cmd.Stderr = closed(), log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	p := &cloakroom{stderr: log}
	p.logged(t, "nobody reads what could be tried", 1)
	want(t, 200, "GET", fmt.Sprint("http://", p.logged(t, "ready", 1)["http"], "/version"), "")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, log)
	}
}

// SIGHUP ends every subcommand but serve, wherever it waits.
func TestHangupEndsWhatDoesNotReload(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the server sees then that the client goes
		close(asked)
		<-r.Context().Done()
	}))
	defer silent.Close()
	p := launch(t, []string{"sessions", "revoke", "--url", silent.URL, "--all", "--yes"}, "CLOAKROOM_API_KEY=k")
	<-asked
	p.hangup <- syscall.SIGHUP
	if code := p.wait(); code != exitFailed || !strings.Contains(p.stderr.String(), "interrupted") {
		t.Errorf("revoke: exit code %d", code)
	}
	p = launch(t, append([]string{"dev", "--redis-url=redis://" + redistest.FreeAddr(t)}, quick()...))
	p.logged(t, "redis is not usable yet, trying again", 1)
	p.hangup <- syscall.SIGHUP
	if code := p.wait(); code != exitOK {
		t.Errorf("dev: exit code %d", code)
	}
	for _, s := range subcommands() {
		if reloads([]string{s.name}) != (s.name == "serve") {
			t.Errorf("%s", s.name)
		}
	}
}

// A program under nohup outlives its terminal. serve still reloads on SIGHUP.
func TestNohup(t *testing.T) {
	t.Parallel()
	for name, ignores := range map[string]bool{"dev": true, "serve": false} {
		self := selfCommand(t, append([]string{name, "--redis-url=memory:", "--auth-anonymous"}, quick()...)...)
		cmd := exec.Command("nohup", self.Args...)
		cmd.Env = self.Env
		log := newOutput()
		cmd.Stderr = log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		(&cloakroom{stderr: log}).logged(t, "ready", 1)
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		_, mask, _ := strings.Cut(string(status), "SigIgn:\t")
		ignored, err := strconv.ParseUint(mask[:16], 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		if got := ignored&(1<<(syscall.SIGHUP-1)) != 0; got != ignores {
			t.Errorf("%s: SIGHUP is ignored: %v", name, got)
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
}
