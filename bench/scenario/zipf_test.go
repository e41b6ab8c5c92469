package scenario

import (
	"math"
	"testing"

	"github.com/cloakroom-dev/cloakroom/bench/load"
)

// The share of each rank is compared with its probability.
func TestZipf_Shares(t *testing.T) {
	const n, draws = 20, 400_000
	for _, s := range []float64{0, 0.5, 0.99, 1, 1.5, 3} {
		var total float64
		for k := range n {
			total += math.Pow(float64(k+1), -s)
		}
		z := newZipf(n, s, load.NewRand(1, 0))
		var counts [n]int
		for range draws {
			counts[z.next()]++
		}
		for k, got := range counts {
			p := math.Pow(float64(k+1), -s) / total
			if deviation := math.Abs(float64(got) - p*draws); deviation > 5*math.Sqrt(p*draws) {
				t.Errorf("exponent %g, rank %d: drawn %d times, want %.0f", s, k, got, p*draws)
			}
		}
	}
}

func TestZipf_Limits(t *testing.T) {
	for _, n := range []int{1, 2, 200_000_000} {
		z := newZipf(n, 0.99, load.NewRand(1, 0))
		for range 1000 {
			if k := z.next(); k < 0 || k >= n {
				t.Fatalf("rank %d of %d", k, n)
			}
		}
	}
}

func TestSpread_IsAPermutation(t *testing.T) {
	for _, n := range []int{1, 2, 5, 1000, 99_995} {
		seen := make([]bool, n)
		for k := range n {
			i := spread(k, n)
			if seen[i] {
				t.Fatalf("of %d: %d twice", n, i)
			}
			seen[i] = true
		}
	}
}
