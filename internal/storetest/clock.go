package storetest

import (
	"sync/atomic"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// Clock is a clock that moves only when it is told to. It is safe for
// concurrent use.
type Clock struct{ now atomic.Int64 }

// ahead is how far a new clock is ahead of the real time.
const ahead = time.Hour

// NewClock returns a clock that stands an hour ahead of the present. Whatever
// lives by it outlasts the test, so that Redis' own TTL removes nothing.
func NewClock() *Clock {
	c := new(Clock)
	c.now.Store(int64(session.TimeOf(time.Now().Add(ahead))))
	return c
}

// ClockAt returns a clock that stands at an instant, so that what a test writes is
// the same each time. It should be ahead of the present, as that of NewClock.
func ClockAt(t session.Time) *Clock {
	c := new(Clock)
	c.now.Store(int64(t))
	return c
}

// Now returns the instant at which the clock stands.
func (c *Clock) Now() session.Time { return session.Time(c.now.Load()) }

// Advance moves the clock forward by d, which must be at least a microsecond.
func (c *Clock) Advance(d time.Duration) {
	if d < time.Microsecond {
		panic("BUG: the clock only moves forward")
	}
	c.now.Add(int64(d / time.Microsecond))
}
