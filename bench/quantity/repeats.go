package quantity

import "github.com/cloakroom-dev/cloakroom/bench/result"

// Kind is what repeats have in common.
type Kind struct {
	Side, Label, Mode string
	Rate              float64 // 0 for a closed run
}

// String names the load: side, label, and rate or closed loop.
func (l Kind) String() string {
	s := l.Label
	if l.Side != "" {
		s = l.Side + ": " + s
	}
	if l.Mode == "closed" {
		return s + ", closed loop"
	}
	return s + ", " + PerSecond.Text(l.Rate)
}

// Numbered is a run and its number N in the file, from 1.
type Numbered struct {
	*result.Run
	N int
}

// Repeats are the runs of a file with the same load, invalid ones apart.
type Repeats struct {
	Kind
	Valid, Invalid []Numbered
}

// Group returns the runs by load, in the order of their first run. It points into
// runs.
func Group(runs []result.Run) []*Repeats {
	var groups []*Repeats
	byLoad := map[Kind]*Repeats{}
	for i := range runs {
		run := Numbered{&runs[i], i + 1}
		l := Kind{Side: run.Side, Label: run.Label, Mode: run.Mode}
		if run.Mode != "closed" {
			l.Rate = run.Rate
		}
		g := byLoad[l]
		if g == nil {
			g = &Repeats{Kind: l}
			byLoad[l] = g
			groups = append(groups, g)
		}
		if run.Invalid == "" {
			g.Valid = append(g.Valid, run)
		} else {
			g.Invalid = append(g.Invalid, run)
		}
	}
	return groups
}

// Of returns one value for each valid run.
func (g *Repeats) Of(value func(*result.Run) float64) Sample {
	values := make(Sample, len(g.Valid))
	for i, run := range g.Valid {
		values[i] = value(run.Run)
	}
	return values
}

// PairRatios returns the ratios a/b of the achieved rates and of the p99 of
// each pair whose runs are both valid. If the runs are not in pairs, it returns
// the ratios that the file states.
func PairRatios(r *result.Result) (rates, p99s Sample) {
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
