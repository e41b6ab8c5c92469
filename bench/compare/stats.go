package compare

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cloakroom-dev/cloakroom/bench/quantity"
)

const (
	leastToRank  = 4    // repeats on each side, from which on ranks can decide
	mostToRank   = 200  // repeats of both, up to which the exact test is quick
	significance = 0.05 // the p below which ranks say that there is a difference
)

// decide returns +1 if b is higher than a beyond the noise, -1 if it is lower, 0
// if it is neither or if nothing can be said, and how that was decided.
func decide(a, b quantity.Sample) (direction int, how string) {
	switch least := min(len(a), len(b)); {
	case least == 0:
		return 0, "no valid run"
	case least == 1:
		return 0, "one run"
	case least < leastToRank || len(a)+len(b) > mostToRank:
		return separate(a, b), "ranges"
	}
	p, direction := rankTest(a, b)
	if p >= significance {
		direction = 0
	}
	return direction, fmt.Sprintf("p=%.2g", p)
}

// separate returns +1 if all of b is above all of a, -1 if it is below, 0 if their ranges meet.
func separate(a, b quantity.Sample) int {
	switch {
	case b.Lowest() > a.Highest():
		return +1
	case b.Highest() < a.Lowest():
		return -1
	default:
		return 0
	}
}

// rankTest is the Mann–Whitney test, exact also with ties: the probability that
// dealing the values of a and b out at random separates the sums of their ranks
// at least as far as they are, and the direction of b.
func rankTest(a, b quantity.Sample) (p float64, direction int) {
	ranks := doubledRanks(slices.Concat(a, b))
	total, sum := 0, 0
	for i, rank := range ranks {
		total += rank
		if i < len(a) {
			sum += rank
		}
	}
	// ways[k][s] is in how many ways k of the ranks have the sum s.
	ways := make([][]float64, len(a)+1)
	for k := range ways {
		ways[k] = make([]float64, total+1)
	}
	ways[0][0] = 1
	for _, rank := range ranks {
		for k := len(a); k > 0; k-- {
			for s := total; s >= rank; s-- {
				ways[k][s] += ways[k-1][s-rank]
			}
		}
	}
	// A sum of len(a) doubled ranks is len(a)*(n+1) on average.
	mean := len(a) * (len(ranks) + 1)
	all, asFar := 0.0, 0.0
	for s, w := range ways[len(a)] {
		all += w
		if distance(s, mean) >= distance(sum, mean) {
			asFar += w
		}
	}
	return asFar / all, cmp.Compare(mean, sum)
}

func distance(a, b int) int { return max(a-b, b-a) }

// doubledRanks returns twice the rank of each value, from 2 up; equal values share the mean of their ranks.
func doubledRanks(values []float64) []int {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(values[i], values[j]) })
	ranks := make([]int, len(values))
	for i := 0; i < len(order); {
		end := i + 1
		for end < len(order) && values[order[end]] == values[order[i]] {
			end++
		}
		for _, at := range order[i:end] {
			ranks[at] = i + 1 + end
		}
		i = end
	}
	return ranks
}
