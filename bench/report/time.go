package report

import (
	"fmt"
	"math"
	"strconv"

	"github.com/cloakroom-dev/cloakroom/bench/quantity"
	"github.com/cloakroom-dev/cloakroom/bench/result"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

const mostTimeFigures = 4

// timeFigures plot the latency of each second, the runs end to end, a figure for each target.
func timeFigures(r *result.Result) ([]*figureView, error) {
	order, byTarget := targets(r.Runs)
	var figures []*figureView
	for _, t := range order {
		f, err := timeFigure(t, byTarget[t])
		if err != nil {
			return nil, err
		}
		if f != nil && len(figures) < mostTimeFigures {
			figures = append(figures, f)
		}
	}
	return figures, nil
}

// timeFigure returns nil if the runs have no seconds.
func timeFigure(t target, runs []quantity.Numbered) (*figureView, error) {
	p := newPlot("measured time, s, the runs end to end", "latency, log scale")
	marks := &runMarks{}
	var end float64
	var errorSeconds []float64
	var invalid bool
	for _, run := range runs {
		if len(run.Series) == 0 {
			continue
		}
		var p50, p99, highest plotter.XYs
		last := 0
		for _, point := range run.Series {
			if point.Second < 0 {
				continue
			}
			last = max(last, point.Second)
			x := end + float64(point.Second) + 0.5
			p50 = appendTime(p50, x, point.P50)
			p99 = appendTime(p99, x, point.P99)
			highest = appendTime(highest, x, point.Max)
			if point.Errors > 0 {
				errorSeconds = append(errorSeconds, x)
			}
		}
		color := ink.color
		name := strconv.Itoa(run.N)
		if run.Invalid != "" {
			color, name, invalid = ink.faint, "("+name+")", true
		}
		addDots(p, highest, color(inkMuted), 1.6, draw.CircleGlyph{})
		addLine(p, p99, color(seriesInk(1)), 1.5, false)
		addLine(p, p50, color(seriesInk(0)), 1.5, false)
		marks.starts = append(marks.starts, end)
		marks.names = append(marks.names, name)
		end += float64(last + 1)
	}
	if len(marks.starts) == 0 {
		return nil, nil
	}
	marks.end = end
	p.Add(marks)
	p.X.Min, p.X.Max = 0, end
	p.X.Tick.Marker = plot.TickerFunc(roundTicks)
	useLogTime(p)
	f := &figureView{Title: "Latency over time: " + t.String(), Caption: "Each second by itself; the numbers above are the runs."}
	f.legend(seriesInk(0), "line", "p50")
	f.legend(seriesInk(1), "line", "p99")
	f.legend(inkMuted, "dot", "max")
	if runs[0].Mode == "closed" {
		f.Caption += " Closed loop: queueing is hidden."
	}
	if invalid {
		f.Caption += " Runs in brackets are invalid and drawn faint."
	}
	if len(errorSeconds) > 0 {
		var marks plotter.XYs
		for _, x := range errorSeconds {
			marks = append(marks, plotter.XY{X: x, Y: p.Y.Min})
		}
		addDots(p, marks, inkBad.color(), 4, draw.PyramidGlyph{})
		f.legend(inkBad, "peak", fmt.Sprintf("seconds with errors: %d", len(errorSeconds)))
	}
	return f, f.draw(p, 280)
}

// appendTime appends a time in µs, if there is one, as log10.
func appendTime(points plotter.XYs, x, us float64) plotter.XYs {
	if us <= 0 {
		return points
	}
	return append(points, plotter.XY{X: x, Y: math.Log10(us)})
}

// runMarks is a plotter that draws where runs begin, and their names above the data.
type runMarks struct {
	starts []float64
	names  []string
	end    float64
}

// Plot implements plot.Plotter.
func (m *runMarks) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	style := text.Style{
		Color: inkMuted.color(), XAlign: draw.XCenter, YAlign: draw.YBottom, Handler: p.TextHandler,
		Font: font.From(p.X.Tick.Label.Font, 10),
	}
	drawn := c.Min.X - 100
	for i, start := range m.starts {
		if i > 0 {
			c.StrokeLine2(draw.LineStyle{Color: inkMuted.color(), Width: 0.6, Dashes: []vg.Length{2, 2}}, x(start), c.Min.Y, x(start), c.Max.Y)
		}
		end := m.end
		if i+1 < len(m.starts) {
			end = m.starts[i+1]
		}
		middle := (x(start) + x(end)) / 2
		if half := style.Width(m.names[i])/2 + 1; middle-half > drawn {
			c.FillText(style, vg.Point{X: middle, Y: c.Max.Y + 1}, m.names[i])
			drawn = middle + half
		}
	}
}
