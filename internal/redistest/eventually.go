package redistest

import "time"

// Eventually calls f until it returns true, and reports whether it did so in time. The pauses between are short at first, and
// then a tenth of what has passed, up to 20 ms: f may be costly.
func Eventually(limit time.Duration, f func() bool) bool {
	const shortest, longest = 2 * time.Millisecond, 20 * time.Millisecond
	begun := time.Now()
	end, pause := time.NewTimer(limit), time.NewTimer(shortest)
	defer end.Stop()
	defer pause.Stop()
	for !f() {
		pause.Reset(min(max(shortest, time.Since(begun)/10), longest))
		select {
		case <-end.C:
			return false
		case <-pause.C:
		}
	}
	return true
}
