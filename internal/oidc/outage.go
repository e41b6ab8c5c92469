package oidc

import (
	"sync"
	"time"
)

// calm is how long an issuer must have failed no question before it counts as
// answering again: one that fails now and then is logged now and then.
const calm = 10 * time.Second

// outage tells the beginning and the end of a time in which an issuer leaves
// questions unanswered. It is safe for concurrent use.
type outage struct {
	mu         sync.Mutex
	on         bool
	last       time.Time // of the failures
	unanswered int
}

// change is what a question has changed.
type change uint8

const (
	noChange change = iota
	outageBegan
	outageEnded
)

// note takes the outcome of a question. At the end of an outage it also returns
// how many questions were left unanswered.
func (s *outage) note(err error, now time.Time) (change, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.last = now
		s.unanswered++
		if s.on {
			return noChange, 0
		}
		s.on, s.unanswered = true, 1
		return outageBegan, 0
	}
	if !s.on || now.Sub(s.last) < calm {
		return noChange, 0
	}
	s.on = false
	return outageEnded, s.unanswered
}
