//go:build unix && !linux

package redisconn

import "syscall"

// processAttributes put the embedded server into a process group of its own,
// so that Ctrl-C reaches only us. Only Linux can also end it when we are
// killed; elsewhere the next start reports it.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
