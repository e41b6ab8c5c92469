//go:build !linux

package redistest

import "syscall"

// sysProcAttr asks for nothing: only Linux can tie a child's life to ours.
func sysProcAttr() *syscall.SysProcAttr { return nil }

// waitStopped does not wait: a signal is delivered before the next request can be.
func waitStopped(int) error { return nil }
