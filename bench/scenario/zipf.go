package scenario

import (
	"math"
	"math/rand/v2"
)

// zipf draws ranks 0…n−1, rank k with a probability proportional to
// (k+1)^−s, for any s ≥ 0; 0 is uniform. It does so by rejection-inversion
// (Hörmann, Derflinger: "Rejection-inversion to generate variates from
// monotone discrete distributions", 1996): no table, whatever n is. (The
// standard library's needs s > 1.)
type zipf struct {
	n                 int
	s                 float64
	hFirst, hLast, at float64
	r                 *rand.Rand
}

func newZipf(n int, s float64, r *rand.Rand) *zipf {
	z := &zipf{n: n, s: s, r: r}
	z.hFirst = z.integral(1.5) - 1
	z.hLast = z.integral(float64(n) + 0.5)
	z.at = 2 - z.inverse(z.integral(2.5)-z.weight(2))
	return z
}

func (z *zipf) next() int {
	if z.s == 0 {
		return z.r.IntN(z.n)
	}
	for {
		u := z.hLast + z.r.Float64()*(z.hFirst-z.hLast)
		x := z.inverse(u)
		k := min(max(math.Floor(x+0.5), 1), float64(z.n))
		if k-x <= z.at || u >= z.integral(k+0.5)-z.weight(k) {
			return int(k) - 1
		}
	}
}

// weight is x^−s.
func (z *zipf) weight(x float64) float64 { return math.Exp(-z.s * math.Log(x)) }

// integral is an antiderivative of weight: (x^(1−s)−1)/(1−s), log x for s = 1.
func (z *zipf) integral(x float64) float64 {
	log := math.Log(x)
	if t := (1 - z.s) * log; math.Abs(t) > 1e-8 {
		return math.Expm1(t) / t * log
	}
	return log
}

// inverse is the inverse of integral.
func (z *zipf) inverse(u float64) float64 {
	if t := max(u*(1-z.s), -1); math.Abs(t) > 1e-8 {
		return math.Exp(math.Log1p(t) / t * u)
	}
	return math.Exp(u)
}

// spread is a permutation of 0…n−1 that puts neighbours far from each other,
// so that the hottest ranks are not the oldest sessions too.
func spread(k, n int) int {
	const prime = 2_654_435_761 // above every n, so coprime to it
	return int(uint64(k) * prime % uint64(n))
}
