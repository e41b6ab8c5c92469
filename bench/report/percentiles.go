package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/cloakroom-dev/cloakroom/bench/quantity"
	"github.com/cloakroom-dev/cloakroom/bench/result"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg/draw"
)

const (
	mostCurves  = 4 // loads in one percentile plot
	mostRepeats = 9 // repeats of a load that are drawn behind it
	curveStep   = 0.02
	rarest      = 6 // the plot ends at 99.9999 %
)

// percentilesFigure plots latency and service time by percentile. The horizontal
// axis is log10(1/(1-p)): 0, 1, 2, 3 are 0, 90, 99, 99.9 %.
func percentilesFigure(r *result.Result) (*figureView, error) {
	groups := slices.DeleteFunc(quantity.Group(r.Runs), func(g *quantity.Repeats) bool { return len(g.Valid) == 0 })
	if len(groups) == 0 {
		return nil, nil
	}
	f := &figureView{Title: "Latency by percentile", Caption: "Valid runs only; repeats of a load are put together, and each is drawn thin behind."}
	if len(groups) > mostCurves {
		f.Caption += fmt.Sprintf(" %d of %d loads are drawn.", mostCurves, len(groups))
		groups = chooseCurves(groups, r.Max)
	}
	return f, f.drawPercentiles(groups)
}

// drawPercentiles draws the latency and service time of groups by percentile.
func (f *figureView) drawPercentiles(groups []*quantity.Repeats) error {
	p := newPlot("percentile", "latency, log scale")
	var open, closed bool
	for i, g := range groups {
		c := seriesInk(i)
		if len(g.Valid) > 1 && len(g.Valid) <= mostRepeats {
			for _, run := range g.Valid {
				addLine(p, curve(run.Latency), c.faint(), 0.6, false)
			}
		}
		addCurve(p, g.Valid, func(r *result.Run) result.Distribution { return r.Latency }, c, false)
		f.legend(c, "line", g.Kind.String())
		if g.Mode == "closed" {
			closed = true
			continue
		}
		open = true
		addCurve(p, g.Valid, func(r *result.Run) result.Distribution { return r.Service }, c, true)
	}
	if open {
		f.legend(inkText, "line", "latency, from when the request was due")
		f.legend(inkText, "dashed", "service time, from when it was sent")
	}
	if closed {
		f.Caption += " Closed loop: queueing is hidden."
	}
	p.X.Min, p.X.Max = 0, max(p.X.Max, 2)
	p.X.Tick.Marker = plot.ConstantTicks{
		{Value: 0, Label: "0 %"},
		{Value: math.Log10(2), Label: "50 %"},
		{Value: 1, Label: "90 %"},
		{Value: 2, Label: "99 %"},
		{Value: 3, Label: "99.9 %"},
		{Value: 4, Label: "99.99 %"},
		{Value: 5, Label: "99.999 %"},
		{Value: 6, Label: "99.9999 %"},
	}
	useLogTime(p)
	return f.draw(p, 360)
}

// chooseCurves returns mostCurves of groups, evenly spaced by rate, with the result of max among them.
func chooseCurves(groups []*quantity.Repeats, m *result.Max) []*quantity.Repeats {
	slices.SortStableFunc(groups, func(a, b *quantity.Repeats) int { return cmp.Compare(a.Rate, b.Rate) })
	var chosen []*quantity.Repeats
	for i := range mostCurves {
		chosen = append(chosen, groups[i*(len(groups)-1)/(mostCurves-1)])
	}
	if m == nil {
		return chosen
	}
	at := slices.IndexFunc(groups, func(g *quantity.Repeats) bool { return g.Rate == m.Rate })
	if at < 0 || slices.Contains(chosen, groups[at]) {
		return chosen
	}
	chosen[min(1+at*(mostCurves-1)/len(groups), mostCurves-2)] = groups[at]
	slices.SortStableFunc(chosen, func(a, b *quantity.Repeats) int { return cmp.Compare(a.Rate, b.Rate) })
	return chosen
}

// addCurve adds the distribution of all runs together. Where a histogram is missing
// it adds the medians of the percentiles that the runs state, as dots and a line.
func addCurve(p *plot.Plot, runs []quantity.Numbered, of func(*result.Run) result.Distribution, c ink, dashed bool) {
	var all *hdr.Histogram
	for _, run := range runs {
		h := histogram(of(run.Run))
		switch {
		case h == nil:
			addStated(p, runs, of, c, dashed)
			return
		case all == nil:
			all = h
		default:
			all.Merge(h)
		}
	}
	addLine(p, histogramCurve(all), c.color(), 1.8, dashed)
}

func addStated(p *plot.Plot, runs []quantity.Numbered, of func(*result.Run) result.Distribution, c ink, dashed bool) {
	stated := make([]quantity.Sample, len(statedPercentiles))
	var points plotter.XYs
	for i, percentile := range statedPercentiles {
		for _, run := range runs {
			if d := of(run.Run); d.Count > 0 && percentile.value(&d) > 0 {
				stated[i] = append(stated[i], percentile.value(&d))
			}
		}
		if len(stated[i]) > 0 {
			points = append(points, plotter.XY{X: percentile.x, Y: math.Log10(stated[i].Median())})
		}
	}
	addLine(p, points, c.color(), 1.8, dashed)
	addDots(p, points, c.color(), 2.5, draw.CircleGlyph{})
}

// statedPercentiles are those that a Distribution has without its histogram.
var statedPercentiles = []struct {
	x     float64
	value func(*result.Distribution) float64
}{
	{math.Log10(2), func(d *result.Distribution) float64 { return d.P50 }},
	{1, func(d *result.Distribution) float64 { return d.P90 }},
	{2, func(d *result.Distribution) float64 { return d.P99 }},
	{3, func(d *result.Distribution) float64 { return d.P999 }},
	{4, func(d *result.Distribution) float64 { return d.P9999 }},
}

// curve returns the distribution of one run, nothing if it has no histogram.
func curve(d result.Distribution) plotter.XYs { return histogramCurve(histogram(d)) }

// histogram returns d's histogram, nil if it has none that can be read and has values.
func histogram(d result.Distribution) *hdr.Histogram {
	if d.HDR == "" {
		return nil
	}
	h, err := hdr.Decode([]byte(d.HDR))
	if err != nil || h.TotalCount() == 0 {
		return nil
	}
	return h
}

func histogramCurve(h *hdr.Histogram) plotter.XYs {
	if h == nil {
		return nil
	}
	// Beyond 1 in as many values as there are, only the highest is repeated.
	end := min(math.Log10(float64(h.TotalCount())), rarest)
	var points plotter.XYs
	for i := 0; ; i++ {
		x := min(float64(i)*curveStep, end)
		ns := h.ValueAtPercentile(100 * (1 - math.Pow(10, -x)))
		points = append(points, plotter.XY{X: x, Y: math.Log10(max(float64(ns), 1) / 1000)})
		if x == end {
			return points
		}
	}
}
