package report

import (
	"cmp"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/quantity"
	"github.com/cloakroom-dev/cloakroom/bench/result"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg/draw"
)

// rateFigures plot latency against the offered rate, a figure for each target that was loaded at several.
func rateFigures(r *result.Result) ([]*figureView, error) {
	order, _ := targets(r.Runs)
	var figures []*figureView
	for _, t := range order {
		var groups []*quantity.Repeats
		for _, g := range quantity.Group(r.Runs) {
			if g.Rate > 0 && len(g.Valid) > 0 && g.Side == t.side && g.Label == t.label {
				groups = append(groups, g)
			}
		}
		if len(groups) < 2 {
			continue
		}
		f, err := rateFigure(t, groups, r.Max)
		if err != nil {
			return nil, err
		}
		figures = append(figures, f)
	}
	return figures, nil
}

func rateFigure(t target, groups []*quantity.Repeats, m *result.Max) (*figureView, error) {
	slices.SortFunc(groups, func(a, b *quantity.Repeats) int { return cmp.Compare(a.Rate, b.Rate) })
	f := &figureView{
		Title:   "Rate against latency: " + t.String(),
		Caption: "Medians of the valid runs at each rate; the bars reach from the lowest run to the highest.",
	}
	p := newPlot("offered rate, requests/s", "latency, log scale")
	for i, q := range []struct {
		name  string
		value func(*result.Run) float64
	}{
		{"p50", func(r *result.Run) float64 { return r.Latency.P50 }},
		{"p99", func(r *result.Run) float64 { return r.Latency.P99 }},
		{"p99.9", func(r *result.Run) float64 { return r.Latency.P999 }},
	} {
		c := seriesInk(i)
		var medians plotter.XYs
		for _, g := range groups {
			values := slices.DeleteFunc(g.Of(q.value), func(v float64) bool { return v <= 0 })
			if len(values) == 0 {
				continue
			}
			medians = appendTime(medians, g.Rate, values.Median())
			if len(values) > 1 {
				bar := appendTime(appendTime(nil, g.Rate, values.Lowest()), g.Rate, values.Highest())
				addLine(p, bar, c.color(), 1, false)
			}
		}
		addLine(p, medians, c.color(), 1.6, false)
		addDots(p, medians, c.color(), 2.5, draw.CircleGlyph{})
		f.legend(c, "line", q.name)
	}
	useLogTime(p)
	p.X.Min = 0
	p.X.Max *= 1.03
	p.X.Tick.Marker = plot.TickerFunc(roundTicks)
	if m != nil {
		addMaxLines(f, p, m)
	}
	return f, f.draw(p, 320)
}

// addMaxLines adds the result of max and the bounds of its objective that lie within the plot.
func addMaxLines(f *figureView, p *plot.Plot, m *result.Max) {
	for _, us := range latencyBounds(m.Objective) {
		if y := math.Log10(us); y > p.Y.Min && y < p.Y.Max {
			addLine(p, plotter.XYs{{X: p.X.Min, Y: y}, {X: p.X.Max, Y: y}}, inkBad.color(), 1, true)
			f.legend(inkBad, "dashed", "objective "+m.Objective)
		}
	}
	if m.Rate > 0 && m.Rate <= p.X.Max {
		addLine(p, plotter.XYs{{X: m.Rate, Y: p.Y.Min}, {X: m.Rate, Y: p.Y.Max}}, inkText.color(), 1, true)
		f.legend(inkText, "dashed", "highest rate that held, "+quantity.PerSecond.Text(m.Rate))
	}
}

var latencyBound = regexp.MustCompile(`^(?:p[\d.]+|max|mean)<=?(.+)$`)

// latencyBounds returns the bounds of an objective such as p99<5ms,err<0.01% that are times, in µs.
func latencyBounds(objective string) []float64 {
	var bounds []float64
	for part := range strings.SplitSeq(objective, ",") {
		match := latencyBound.FindStringSubmatch(strings.ReplaceAll(part, " ", ""))
		if match == nil {
			continue
		}
		if d, err := time.ParseDuration(match[1]); err == nil && d > 0 {
			bounds = append(bounds, float64(d.Nanoseconds())/1000)
		}
	}
	return bounds
}
