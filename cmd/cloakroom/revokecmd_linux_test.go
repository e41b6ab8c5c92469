package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal returns the two ends of a terminal: the user's and the program's.
func openTerminal(t *testing.T) (user, program *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { user.Close() })
	if err := unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return user, program
}

// shellOfTerminal runs a program as a shell does, which outlives it: the kernel may throw away what a terminal has not shown
// yet when the first process of its session ends, or the last that has it open. It ends when its descriptor 3 does.
const shellOfTerminal = `trap : INT; "$@"; code=$?; trap '' INT; printf '\036' >&2; read _ <&3; exit $code`

// atTerminal starts the program at a terminal, its standard output apart. shown
// collects what the terminal shows; wait returns the exit code and the output.
func atTerminal(t *testing.T, args ...string) (user *os.File, shown *output, wait func() (int, string)) {
	t.Helper()
	user, tty := openTerminal(t)
	isRead, hold, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := selfCommand(t, args...)
	cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", shellOfTerminal, "sh", cmd.Path}, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = tty, &out, tty, []*os.File{isRead}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tty.Close()
	isRead.Close()
	shown = newOutput()
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer hold.Close()
		var b [1024]byte
		for {
			n, err := user.Read(b[:])
			text, ended := bytes.CutSuffix(b[:n], []byte("\x1e"))
			_, _ = shown.Write(text)
			if ended || err != nil {
				return
			}
		}
	}()
	waited := false
	wait = func() (int, string) {
		waited = true
		<-read
		_ = cmd.Wait()
		return cmd.ProcessState.ExitCode(), out.String()
	}
	t.Cleanup(func() {
		if !waited {
			_ = cmd.Process.Kill() // the kernel tells the program that its terminal hangs up
			wait()
		}
	})
	return user, shown, wait
}

// seen waits until the terminal shows text.
func seen(t *testing.T, shown *output, text string) {
	t.Helper()
	(&cloakroom{ended: make(chan struct{})}).until(t, shown, text, func(s string) bool { return strings.Contains(s, text) })
}

func TestRevokeCommandAsks(t *testing.T) {
	api, _ := serveOpen(t)
	for range 3 {
		create(t, api, "alice")
	}
	f := func(answer string, code int, out string, args ...string) string {
		t.Helper()
		user, shown, wait := atTerminal(t, append([]string{"revoke", "--url", api, "--user-id=alice"}, args...)...)
		if answer != "" {
			seen(t, shown, "revoke 3 sessions of user alice? [y/N] ")
			if _, err := user.WriteString(answer); err != nil {
				t.Fatal(err)
			}
		}
		gotCode, gotOut := wait()
		if gotCode != code || gotOut != out {
			t.Errorf("%q: got %d, %q, want %d, %q; the terminal shows\n%s", answer, gotCode, gotOut, code, out, shown)
		}
		return shown.String()
	}
	for _, no := range []string{"n\n", "\n", "yess\n", "\x04"} { // the last is the end of the input
		if shown := f(no, exitFailed, ""); !strings.Contains(shown, "nothing was revoked, because the answer was not y") {
			t.Errorf("%q: %s", no, shown)
		} else if strings.Contains(shown, "[y/N] cloakroom") {
			t.Errorf("%q: the answer is on the line of the question: %s", no, shown)
		}
	}
	if shown := f("", exitOK, "3 sessions of user alice would be revoked\n", "--dry-run"); shown != "" {
		t.Errorf("a dry run asks: %s", shown)
	}
	if n := total(t, api, "{}"); n != "3" {
		t.Fatalf("%s sessions are left", n)
	}
	f("Y\n", exitOK, "3 sessions revoked\n")
	if shown := f("", exitOK, "there is nothing to revoke: no session of user alice\n"); shown != "" {
		t.Errorf("it asks for nothing: %s", shown)
	}
	create(t, api, "alice")
	if shown := f("", exitOK, "1 session revoked\n", "--yes"); shown != "" {
		t.Errorf("it asks in spite of --yes: %s", shown)
	}
}

// Interrupted at the question it revokes nothing.
func TestRevokeCommandIsInterrupted(t *testing.T) {
	api, _ := serveOpen(t)
	create(t, api, "alice")
	user, shown, wait := atTerminal(t, "revoke", "--url", api, "--all")
	seen(t, shown, "revoke 1 session that the caller may delete? [y/N] ")
	if _, err := user.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	if code, out := wait(); code != exitFailed || out != "" || !strings.Contains(shown.String(), "interrupted; nothing was revoked") {
		t.Errorf("got %d, %q, %s", code, out, shown)
	}
	if n := total(t, api, "{}"); n != "1" {
		t.Errorf("%s sessions are left", n)
	}
}

// What takes long shows that it goes on; interrupted then, it says that the
// sidecar does.
func TestRevokeCommandSpins(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	calls := 0
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls++; calls%2 == 0 {
			<-release
		}
		fmt.Fprint(w, `{"revoked":"7"}`)
	}))
	defer slow.Close()
	_, shown, wait := atTerminal(t, "revoke", "--url", slow.URL, "--all", "--yes")
	seen(t, shown, "revoking")
	release <- struct{}{}
	if code, out := wait(); code != exitOK || out != "7 sessions revoked\n" {
		t.Errorf("got %d, %q, %s", code, out, shown)
	}
	user, shown, wait := atTerminal(t, "revoke", "--url", slow.URL, "--all", "--yes")
	seen(t, shown, "revoking")
	if _, err := user.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	if code, out := wait(); code != exitFailed || out != "" || !strings.Contains(shown.String(), "interrupted; the sidecar goes on with what it was told") {
		t.Errorf("got %d, %q, %s", code, out, shown)
	}
	close(release)
}
