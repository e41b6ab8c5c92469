package main

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// ratioFigures plot the ratios a/b of the rates and of the p99, pair by pair.
func ratioFigures(r *Result) ([]*figureView, error) {
	rates, p99s := pairRatios(r)
	var figures []*figureView
	for _, q := range []struct {
		title    string
		axis     string
		ratios   sample
		required bool
	}{
		{"Rate, a against b", "achieved rate of a / achieved rate of b", rates, !aboutP99(r)},
		{"p99 latency, a against b", "p99 of a / p99 of b", p99s, aboutP99(r)},
	} {
		if len(q.ratios) == 0 {
			continue
		}
		f, err := ratioFigure(q.title, q.axis, q.ratios, q.required, r.Pairs.Requirement)
		if err != nil {
			return nil, err
		}
		figures = append(figures, f)
	}
	return figures, nil
}

// aboutP99 reports whether the requirement is for the ratio of the p99, not of the rates.
func aboutP99(r *Result) bool { return r.Pairs != nil && strings.Contains(r.Pairs.Requirement, "p99") }

func ratioFigure(title, axis string, ratios sample, required bool, requirement string) (*figureView, error) {
	f := &figureView{Title: title, Caption: "One dot for each valid pair, the first at the top; in grey the range, and 1, where both are equal."}
	p := newPlot(axis, "pair")
	last := float64(len(ratios))
	across := func(x float64) plotter.XYs { return plotter.XYs{{X: x, Y: 0.4}, {X: x, Y: last + 0.6}} }
	low, high, median := ratios.lowest(), ratios.highest(), ratios.median()
	band := &plotter.Polygon{XYs: []plotter.XYs{{{X: low, Y: 0.4}, {X: high, Y: 0.4}, {X: high, Y: last + 0.6}, {X: low, Y: last + 0.6}}}}
	band.Color = inkGrid.color()
	p.Add(band)
	addLine(p, across(1), inkMuted.color(), 1, false)
	f.legend(seriesInk(0), "dot", "pairs")
	addLine(p, across(median), seriesInk(0).color(), 2, false)
	f.legend(seriesInk(0), "line", "median "+plain.spread(ratios))
	if bound, ok := requiredRatio(requirement); ok && required {
		addLine(p, across(bound), inkBad.color(), 1.4, true)
		f.legend(inkBad, "dashed", "required "+requirement)
	}
	var dots plotter.XYs
	for i, ratio := range ratios {
		dots = append(dots, plotter.XY{X: ratio, Y: last - float64(i)})
	}
	addDots(p, dots, seriesInk(0).color(), 4, draw.CircleGlyph{})
	margin := max(0.06*(p.X.Max-p.X.Min), 0.01)
	p.X.Min, p.X.Max = p.X.Min-margin, p.X.Max+margin
	p.X.Tick.Marker = plot.TickerFunc(roundTicks)
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

var requiredNumber = regexp.MustCompile(`(?:^|[^\w.])(\d+(?:\.\d+)?)`)

// requiredRatio returns the number in a requirement such as "≥ 0.90".
func requiredRatio(requirement string) (float64, bool) {
	match := requiredNumber.FindStringSubmatch(requirement)
	if match == nil {
		return 0, false
	}
	v, err := strconv.ParseFloat(match[1], 64)
	return v, err == nil && !math.IsInf(v, 0)
}

// requirementVerdict says whether the ratios meet the requirement, "" if there is none that can be understood.
func requirementVerdict(r *Result) string {
	if r.Pairs == nil {
		return ""
	}
	rates, p99s := pairRatios(r)
	ratios := rates
	if aboutP99(r) {
		ratios = p99s
	}
	bound, ok := requiredRatio(r.Pairs.Requirement)
	if !ok || len(ratios) == 0 {
		return ""
	}
	meets := func(v float64) bool { return v >= bound }
	if strings.ContainsAny(r.Pairs.Requirement, "<≤") {
		meets = func(v float64) bool { return v <= bound }
	}
	met := 0
	for _, v := range ratios {
		if meets(v) {
			met++
		}
	}
	verdict := "not met"
	if meets(ratios.median()) {
		verdict = "met"
	}
	return fmt.Sprintf("%s by the median; %d of %d pairs meet it", verdict, met, len(ratios))
}
