package main

import (
	"fmt"
	"math"

	"github.com/cloakroom-dev/cloakroom/bench/result"
)

// maxInterval returns the lowest and the highest rate that the tries leave open.
func maxInterval(m *result.Max) sample {
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
	return sample{low, high}
}

func maxText(rate float64, interval sample) string {
	if math.IsInf(interval.highest(), 1) {
		return fmt.Sprintf("%s (%s or more)", perSecond.text(rate), digits(interval.lowest()))
	}
	return fmt.Sprintf("%s (%s–%s)", perSecond.text(rate), digits(interval.lowest()), digits(interval.highest()))
}
