package quantity

import (
	"math"
	"slices"
)

// Sample holds one value for each repeat, in their order.
type Sample []float64

// Median is the mean of the middle two of an even number of values, NaN of none.
func (s Sample) Median() float64 {
	sorted := slices.Sorted(slices.Values(s))
	switch n := len(sorted); {
	case n == 0:
		return math.NaN()
	case n%2 == 1:
		return sorted[n/2]
	default:
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
}

// Lowest returns the lowest value of s, which must not be empty.
func (s Sample) Lowest() float64 { return slices.Min(s) }

// Highest returns the highest value of s, which must not be empty.
func (s Sample) Highest() float64 { return slices.Max(s) }
