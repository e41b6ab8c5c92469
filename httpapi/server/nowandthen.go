package server

import (
	"sync"
	"time"
)

// NowAndThen lets a line a second into the log, however often there is cause. The
// zero value is ready. It is safe for concurrent use.
type NowAndThen struct {
	mu   sync.Mutex
	last time.Time
	left int
}

// Tell says whether to log now, and how many lines were left out since the last.
func (n *NowAndThen) Tell() (left int, now bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if t := time.Now(); t.Sub(n.last) >= time.Second {
		left, n.left, n.last = n.left, 0, t
		return left, true
	}
	n.left++
	return 0, false
}
