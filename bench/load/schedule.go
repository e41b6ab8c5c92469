package load

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// burstEvery is the time from one burst to the next.
const burstEvery = 100 * time.Millisecond

// newSchedule returns a function that returns when the next request is due,
// counted from the begin: rate a second on average, forever.
//
//	constant  at equal distances
//	poisson   independently of each other, as from many callers
//	burst     a tenth of a second's requests at once, ten times a second
func newSchedule(kind string, rate float64, r *rand.Rand) (func() time.Duration, error) {
	if !(rate > 0 && rate <= 10e6) {
		return nil, fmt.Errorf("a rate of %g requests/s", rate)
	}
	var n float64 // of requests before the next
	gap := float64(time.Second) / rate
	switch kind {
	case "constant":
		return func() time.Duration {
			due := time.Duration(n * gap)
			n++
			return due
		}, nil
	case "poisson":
		var due float64
		return func() time.Duration {
			due += r.ExpFloat64() * gap
			return time.Duration(due)
		}, nil
	case "burst":
		return func() time.Duration {
			due := time.Duration(n * gap).Truncate(burstEvery)
			n++
			return due
		}, nil
	}
	return nil, fmt.Errorf("unknown schedule %q: constant, poisson or burst", kind)
}
