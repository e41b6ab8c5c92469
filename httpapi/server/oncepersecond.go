package server

import (
	"sync"
	"time"
)

// OncePerSecond lets a line a second into the log, however often there is cause. The
// zero value is ready. It is safe for concurrent use.
type OncePerSecond struct {
	mu   sync.Mutex
	last time.Time
	left int
}

// Tell says whether to log now, and how many lines were left out since the last.
func (o *OncePerSecond) Tell() (left int, now bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if t := time.Now(); t.Sub(o.last) >= time.Second {
		left, o.left, o.last = o.left, 0, t
		return left, true
	}
	o.left++
	return 0, false
}
