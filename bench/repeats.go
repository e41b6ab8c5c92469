package main

import "github.com/cloakroom-dev/cloakroom/bench/result"

// kind is what repeats have in common.
type kind struct {
	Side, Label, Mode string
	Rate              float64 // 0 for a closed run
}

func (l kind) String() string {
	s := l.Label
	if l.Side != "" {
		s = l.Side + ": " + s
	}
	if l.Mode == "closed" {
		return s + ", closed loop"
	}
	return s + ", " + perSecond.text(l.Rate)
}

// numbered is a run and its number in the file, from 1.
type numbered struct {
	*result.Run
	N int
}

// repeats are the runs of a file with the same load, invalid ones apart.
type repeats struct {
	kind
	valid, invalid []numbered
}

// groupRepeats returns the runs by load, in the order of their first run.
func groupRepeats(runs []result.Run) []*repeats {
	var groups []*repeats
	byLoad := map[kind]*repeats{}
	for i := range runs {
		run := numbered{&runs[i], i + 1}
		l := kind{Side: run.Side, Label: run.Label, Mode: run.Mode}
		if run.Mode != "closed" {
			l.Rate = run.Rate
		}
		g := byLoad[l]
		if g == nil {
			g = &repeats{kind: l}
			byLoad[l] = g
			groups = append(groups, g)
		}
		if run.Invalid == "" {
			g.valid = append(g.valid, run)
		} else {
			g.invalid = append(g.invalid, run)
		}
	}
	return groups
}

// of returns one value for each valid run.
func (g *repeats) of(value func(*result.Run) float64) sample {
	values := make(sample, len(g.valid))
	for i, run := range g.valid {
		values[i] = value(run.Run)
	}
	return values
}

// pairRatios returns the ratios a/b of the achieved rates and of the p99 of
// each pair whose runs are both valid. If the runs are not in pairs, it returns
// the ratios that the file states.
func pairRatios(r *result.Result) (rates, p99s sample) {
	if r.Pairs == nil {
		return nil, nil
	}
	inPairs := len(r.Runs) > 0 && len(r.Runs)%2 == 0
	for i := 0; inPairs && i < len(r.Runs); i += 2 {
		a, b := &r.Runs[i], &r.Runs[i+1]
		if a.Side == "b" {
			a, b = b, a
		}
		inPairs = a.Side == "a" && b.Side == "b"
		if a.Invalid != "" || b.Invalid != "" {
			continue
		}
		if b.Achieved > 0 {
			rates = append(rates, a.Achieved/b.Achieved)
		}
		if b.Latency.P99 > 0 {
			p99s = append(p99s, a.Latency.P99/b.Latency.P99)
		}
	}
	if !inPairs {
		return r.Pairs.Ratios, r.Pairs.P99Ratios
	}
	return rates, p99s
}
