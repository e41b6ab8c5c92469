package httpapi

import "time"

// limits are what tests change of a Server that no Config says: how long things may take. A test that is about a limit has a
// short one, a test that must not meet it on a slow machine a long one.
type limits struct {
	timeouts
	// verify is how long a verify may take.
	verify time.Duration
}

// limit changes the limits. No request may be under way.
func (s *Server) limit(change func(*limits)) {
	l := limits{s.limits, s.verify.Timeout}
	change(&l)
	s.limits, s.verify.Timeout = l.timeouts, l.verify
}
