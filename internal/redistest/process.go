package redistest

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Process is a running program of a test: a redis-server, or what is tested together with it. On Linux the kernel kills it
// when the test's process dies.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended and its goroutine is about to
}

// StartProcess runs bin, a path or a name on PATH. Its output is appended to logFile. The caller ends it, with Stop or Kill.
func StartProcess(logFile, bin string, args ...string) (*Process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(bin, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = sysProcAttr()
	p := &Process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel sends the death signal when the *thread* that started the child ends. So the thread is ours
		// until the child has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is of no interest: we ended it
		}
	}()
	if err := <-started; err != nil {
		<-p.done // I7
		return nil, err
	}
	return p, nil
}

func (p *Process) pid() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Code waits for the process' end and returns its exit code, -1 if a signal ended it.
func (p *Process) Code() int {
	<-p.done
	return p.cmd.ProcessState.ExitCode()
}

// Kill ends the process at once and waits for its end (I7). SIGKILL also ends a paused process.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // an error says that it has ended
	<-p.done
}

// Stop asks the process to end and reports whether it did so in time; if not, it is killed.
func (p *Process) Stop(timeout time.Duration) bool {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Process.Signal(syscall.SIGCONT)
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-p.done:
		return true
	case <-timer.C:
		p.Kill()
		return false
	}
}
