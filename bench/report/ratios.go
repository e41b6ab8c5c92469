package report

import (
	"math"
	"slices"
	"strconv"

	"github.com/cloakroom-dev/cloakroom/bench/quantity"
	"github.com/cloakroom-dev/cloakroom/bench/result"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// logRatios is how far the highest ratio is above the lowest, from which on the axis is logarithmic.
const logRatios = 4

// ratioFigures plot the ratios a/b of the rates and of the p99, pair by pair.
func ratioFigures(r *result.Result) ([]*figureView, error) {
	rates, p99s := quantity.PairRatios(r)
	var figures []*figureView
	for _, q := range []struct {
		title, axis string
		ratios      quantity.Sample
		ofP99       bool
	}{
		{"Rate, a against b", "achieved rate of a / achieved rate of b", rates, false},
		{"p99 latency, a against b", "p99 of a / p99 of b", p99s, true},
	} {
		if len(q.ratios) == 0 {
			continue
		}
		required, _ := quantity.ParseRequirements(r.Pairs.Requirement)
		required = slices.DeleteFunc(required, func(r quantity.Requirement) bool { return r.OfP99 != q.ofP99 })
		f, err := ratioFigure(q.title, q.axis, q.ratios, required)
		if err != nil {
			return nil, err
		}
		figures = append(figures, f)
	}
	return figures, nil
}

func ratioFigure(title, axis string, ratios quantity.Sample, required []quantity.Requirement) (*figureView, error) {
	f := &figureView{Title: title, Caption: "One dot for each valid pair, the first at the top; in grey the range, and 1, where both are equal."}
	low, high, median := ratios.Lowest(), ratios.Highest(), ratios.Median()
	at, ticks := func(x float64) float64 { return x }, roundTicks
	if low > 0 && high > logRatios*low {
		at, ticks = math.Log10, logTicks
		axis += ", log scale"
	}
	p := newPlot(axis, "pair")
	last := float64(len(ratios))
	across := func(x float64) plotter.XYs { return plotter.XYs{{X: at(x), Y: 0.4}, {X: at(x), Y: last + 0.6}} }
	from, to := across(low), across(high)
	band := &plotter.Polygon{XYs: []plotter.XYs{{from[0], to[0], to[1], from[1]}}}
	band.Color = inkGrid.color()
	p.Add(band)
	addLine(p, across(1), inkMuted.color(), 1, false)
	f.legend(seriesInk(0), "dot", "pairs")
	addLine(p, across(median), seriesInk(0).color(), 2, false)
	f.legend(seriesInk(0), "line", "median "+quantity.Plain.Spread(ratios))
	for _, r := range required {
		if r.Bound > 0 {
			addLine(p, across(r.Bound), inkBad.color(), 1.4, true)
			f.legend(inkBad, "dashed", "required "+r.Text)
		}
	}
	var dots plotter.XYs
	for i, ratio := range ratios {
		dots = append(dots, plotter.XY{X: at(ratio), Y: last - float64(i)})
	}
	addDots(p, dots, seriesInk(0).color(), 4, draw.CircleGlyph{})
	margin := max(0.06*(p.X.Max-p.X.Min), 0.01)
	p.X.Min, p.X.Max = p.X.Min-margin, p.X.Max+margin
	p.X.Tick.Marker = plot.TickerFunc(ticks)
	p.Y.Min, p.Y.Max = 0.4, last+0.6
	p.Y.Tick.Marker = plot.TickerFunc(func(_, _ float64) []plot.Tick {
		var ticks []plot.Tick
		step := len(ratios)/20 + 1
		for i := 0; i < len(ratios); i += step {
			ticks = append(ticks, plot.Tick{Value: last - float64(i), Label: strconv.Itoa(i + 1)})
		}
		return ticks
	})
	return f, f.draw(p, 90+vg.Length(min(16*last, 320)))
}
