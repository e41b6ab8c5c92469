package quantity

import (
	"fmt"
	"math"

	"github.com/cloakroom-dev/cloakroom/bench/result"
)

// MaxInterval returns the lowest and the highest rate that the tries leave open, +Inf
// if none above failed.
func MaxInterval(m *result.Max) Sample {
	low, high := m.Rate, math.Inf(1)
	for _, try := range m.Tries {
		if try.Held {
			continue
		}
		low = min(low, try.Rate)
		if try.Rate > m.Rate {
			high = min(high, try.Rate)
		}
	}
	return Sample{low, high}
}

// MaxText writes a rate with the interval that MaxInterval returns.
func MaxText(rate float64, interval Sample) string {
	if math.IsInf(interval.Highest(), 1) {
		return fmt.Sprintf("%s (%s or more)", PerSecond.Text(rate), Digits(interval.Lowest()))
	}
	return fmt.Sprintf("%s (%s–%s)", PerSecond.Text(rate), Digits(interval.Lowest()), Digits(interval.Highest()))
}
