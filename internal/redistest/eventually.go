package redistest

import "time"

// Eventually calls f until it returns true, with a short pause between, and reports whether it did so in time.
func Eventually(limit time.Duration, f func() bool) bool {
	timer, tick := time.NewTimer(limit), time.NewTicker(2*time.Millisecond)
	defer timer.Stop()
	defer tick.Stop()
	for !f() {
		select {
		case <-timer.C:
			return false
		case <-tick.C:
		}
	}
	return true
}
