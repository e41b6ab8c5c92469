package main

import (
	"math"
	"slices"
)

// sample holds one value for each repeat.
type sample []float64

func (s sample) median() float64 {
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

// lowest returns the lowest value of s, which must not be empty.
func (s sample) lowest() float64 { return slices.Min(s) }

// highest returns the highest value of s, which must not be empty.
func (s sample) highest() float64 { return slices.Max(s) }
