package report

import (
	"bytes"
	"fmt"
	"html/template"
	"image/color"
	"math"
	"strconv"
	"strings"

	"github.com/cloakroom-dev/cloakroom/bench/quantity"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// ink is a colour of the page's theme: the CSS variable --ink-N, or --faint-N.
type ink int

const (
	inkText ink = iota
	inkGrid
	inkBad
	inkMuted
	inkSeries // the first of seriesInks
)

const (
	seriesInks = 8
	inks       = int(inkSeries) + seriesInks
	plotWidth  = 760
)

// seriesInk returns the ink of the i-th series.
func seriesInk(i int) ink { return inkSeries + ink(i%seriesInks) }

// color returns the colour that stands for i in a drawing, until themed puts the CSS variable in its place.
func (i ink) color() color.Color { return color.RGBA{R: 1, G: 2, B: uint8(i + 1), A: 255} }

// faint returns the colour for what stands behind i.
func (i ink) faint() color.Color { return color.RGBA{R: 1, G: 3, B: uint8(i + 1), A: 255} }

var themed = func() *strings.Replacer {
	pairs := []string{"font-family:Liberation Sans", "font-family:inherit"}
	for i := range inks {
		pairs = append(pairs, fmt.Sprintf("#0102%02X", i+1), fmt.Sprintf("var(--ink-%d)", i),
			fmt.Sprintf("#0103%02X", i+1), fmt.Sprintf("var(--faint-%d)", i))
	}
	return strings.NewReplacer(pairs...)
}()

// newPlot returns an empty plot in the style of the report.
func newPlot(x, y string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	sans := func(size vg.Length) font.Font {
		return font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, size)
	}
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Color = inkMuted.color()
		axis.Tick.Color = inkMuted.color()
		axis.Tick.Length = 4
		axis.Tick.Label.Color = inkText.color()
		axis.Tick.Label.Font = sans(11)
		axis.Label.TextStyle.Color = inkText.color()
		axis.Label.TextStyle.Font = sans(11.5)
		axis.Label.Padding = 5
		axis.Padding = 2
	}
	p.X.Label.Text, p.Y.Label.Text = x, y
	grid := plotter.NewGrid()
	for _, style := range []*draw.LineStyle{&grid.Vertical, &grid.Horizontal} {
		style.Color = inkGrid.color()
		style.Width = 0.6
		style.Dashes = nil
	}
	p.Add(grid)
	return p
}

// svg draws p as an SVG element that is as wide as its surroundings.
func svg(p *plot.Plot, title string, height vg.Length) (template.HTML, error) {
	canvas := vgsvg.New(plotWidth, height)
	p.Draw(draw.Crop(draw.New(canvas), 2, -10, 4, -8))
	var out bytes.Buffer
	if _, err := canvas.WriteTo(&out); err != nil {
		return "", err
	}
	// The root element is ours: without a fixed size, and without what HTML does not need.
	_, body, _ := strings.Cut(out.String(), "<svg")
	_, body, _ = strings.Cut(body, ">")
	root := fmt.Sprintf(`<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`, plotWidth, int(height), template.HTMLEscapeString(title))
	return template.HTML(root + themed.Replace(body)), nil
}

// addLine adds a line through points, dashed or not; one point becomes a dot.
func addLine(p *plot.Plot, points plotter.XYs, c color.Color, width vg.Length, dashed bool) {
	if len(points) == 0 {
		return
	}
	if len(points) == 1 {
		addDots(p, points, c, 2, draw.CircleGlyph{})
		return
	}
	line := &plotter.Line{XYs: points, LineStyle: draw.LineStyle{Color: c, Width: width}}
	if dashed {
		line.Dashes = []vg.Length{5, 3}
	}
	p.Add(line)
}

// addDots adds a glyph for each point.
func addDots(p *plot.Plot, points plotter.XYs, c color.Color, radius vg.Length, shape draw.GlyphDrawer) {
	if len(points) > 0 {
		p.Add(&plotter.Scatter{XYs: points, GlyphStyle: draw.GlyphStyle{Color: c, Radius: radius, Shape: shape}})
	}
}

// useLogTime makes the vertical axis show times whose values are log10 of µs. It
// is called when all data is there.
func useLogTime(p *plot.Plot) {
	if p.Y.Min > p.Y.Max {
		p.Y.Min, p.Y.Max = 2, 4
	}
	// Up to the next line of the grid, so that nothing touches the frame.
	p.Y.Min, p.Y.Max = logBelow(p.Y.Min), logAbove(p.Y.Max)
	if p.Y.Min == p.Y.Max {
		p.Y.Max++
	}
	p.Y.Tick.Marker = plot.TickerFunc(logTimeTicks)
}

// logSteps are log10 of 1, 2, 5.
var logSteps = []float64{0, math.Log10(2), math.Log10(5)}

// logBelow returns the highest of 1, 2, 5, 10, … that is not above v, all as log10.
func logBelow(v float64) float64 {
	best := math.Floor(v)
	for _, step := range logSteps {
		if tick := math.Floor(v) + step; tick <= v {
			best = tick
		}
	}
	return best
}

// logAbove returns the lowest of 1, 2, 5, 10, … that is not below v, all as log10.
func logAbove(v float64) float64 {
	for _, step := range logSteps {
		if tick := math.Floor(v) + step; tick >= v {
			return tick
		}
	}
	return math.Floor(v) + 1
}

// logTimeTicks labels 1, 2, 5, 10 … µs.
func logTimeTicks(low, high float64) []plot.Tick { return logTicksAs(low, high, timeLabel) }

// logTicks labels 1, 2, 5, 10 … of numbers whose values are log10 of them.
func logTicks(low, high float64) []plot.Tick {
	return logTicksAs(low, high, func(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) })
}

// logTicksAs labels only the powers of ten if there are many.
func logTicksAs(low, high float64, label func(float64) string) []plot.Tick {
	var ticks []plot.Tick
	for decade := math.Floor(low); decade <= high; decade++ {
		for i, step := range logSteps {
			v := decade + step
			if v < low-1e-9 || v > high+1e-9 {
				continue
			}
			tick := plot.Tick{Value: v}
			if i == 0 || high-low < 3.2 {
				tick.Label = label(math.Pow(10, v))
			}
			ticks = append(ticks, tick)
		}
	}
	return ticks
}

// timeLabel writes a round time in µs as short as it can be.
func timeLabel(us float64) string {
	factor, suffix := quantity.Microseconds.Scale(us * 1.0001)
	return fmt.Sprintf("%.3g%s", us*factor, suffix)
}

// roundTicks labels up to eleven multiples of 1, 2, 5, 10, …
func roundTicks(low, high float64) []plot.Tick {
	step := math.Pow(10, logAbove(math.Log10((high-low)/10)))
	first := math.Ceil(low/step-1e-9) + 0 // never -0
	var ticks []plot.Tick
	for i := range 12 {
		v := (first + float64(i)) * step
		if !(v <= high+step*1e-9) {
			break
		}
		label := strconv.FormatFloat(v, 'g', 6, 64)
		if high >= 1000 {
			label = quantity.Digits(v)
		}
		ticks = append(ticks, plot.Tick{Value: v, Label: label})
	}
	return ticks
}
