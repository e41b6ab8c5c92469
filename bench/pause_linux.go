package main

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// pausing makes pause exact on the calling goroutine until the function that it
// returns is called. The runtime's timers are exact to a millisecond only
// while nothing else runs; a thread that sleeps by itself is to some microseconds.
func pausing() (end func()) {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	return func() {
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // the default
		runtime.UnlockOSThread()
	}
}

// pause sleeps for d, or a little less.
func pause(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&ts, nil)
}
