package main

import (
	"bytes"
	"fmt"
	"io"
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
	var out bytes.Buffer
	shown, ended := startAt(t, user, tty, &out, nil, args)
	return user, shown, func() (int, string) { return ended(), out.String() }
}

// onTerminal runs the program, with more environment, at a terminal of so many columns, which shows its standard
// output, too. It returns the exit code, and what the terminal shows in the end.
func onTerminal(t *testing.T, columns uint16, env []string, args ...string) (int, string) {
	t.Helper()
	user, tty := openTerminal(t)
	if err := unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
		t.Fatal(err)
	}
	shown, ended := startAt(t, user, tty, tty, env, args)
	code := ended()
	var lines []string
	for line := range strings.SplitSeq(strings.ReplaceAll(shown.String(), "\r\n", "\n"), "\n") {
		lines = append(lines, line[strings.LastIndex(line, "\r")+1:]) // what a spinner drew is gone
	}
	return code, strings.Join(lines, "\n")
}

// startAt starts the program at a terminal, and returns what waits for its end and returns the exit code.
func startAt(t *testing.T, user, tty *os.File, stdout io.Writer, env, args []string) (shown *output, wait func() int) {
	t.Helper()
	isRead, hold, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := selfCommand(t, args...)
	cmd.Env = append(cmd.Env, env...)
	cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", shellOfTerminal, "sh", cmd.Path}, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = tty, stdout, tty, []*os.File{isRead}
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
	wait = func() int {
		waited = true
		<-read
		_ = cmd.Wait()
		return cmd.ProcessState.ExitCode()
	}
	t.Cleanup(func() {
		if !waited {
			_ = cmd.Process.Kill() // the kernel tells the program that its terminal hangs up
			wait()
		}
	})
	return shown, wait
}

// seen waits until the terminal shows text.
func seen(t *testing.T, shown *output, text string) {
	t.Helper()
	(&cloakroom{ended: make(chan struct{})}).until(t, shown, text, func(s string) bool { return strings.Contains(s, text) })
}
