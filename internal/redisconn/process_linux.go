package redisconn

import "syscall"

// processAttributes put the embedded server into a process group of its own,
// so that Ctrl-C reaches only us, and end it when we are killed.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
