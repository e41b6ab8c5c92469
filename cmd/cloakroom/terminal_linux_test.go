package main

import (
	"bytes"
	"fmt"
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
