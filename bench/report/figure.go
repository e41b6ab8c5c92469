package report

import (
	"html/template"

	"github.com/cloakroom-dev/cloakroom/bench/quantity"
	"github.com/cloakroom-dev/cloakroom/bench/result"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
)

// figureView is a plot as the template shows it.
type figureView struct {
	Title   string
	Legend  []legendView
	Caption string
	SVG     template.HTML
}

// legendView explains one mark of a plot.
type legendView struct {
	Ink  ink
	Mark string // line, dashed, dot, peak
	Text string
}

// legend adds an entry.
func (f *figureView) legend(i ink, mark, text string) {
	f.Legend = append(f.Legend, legendView{i, mark, text})
}

// draw makes the SVG.
func (f *figureView) draw(p *plot.Plot, height vg.Length) (err error) {
	f.SVG, err = svg(p, f.Title, height)
	return err
}

// target is what is loaded at one or several rates.
type target struct{ side, label string }

func (t target) String() string {
	if t.side == "" {
		return t.label
	}
	return t.side + ": " + t.label
}

// targets returns what runs load, in the order of the first run of each.
func targets(runs []result.Run) (order []target, byTarget map[target][]quantity.Numbered) {
	byTarget = map[target][]quantity.Numbered{}
	for i := range runs {
		t := target{runs[i].Side, runs[i].Label}
		if byTarget[t] == nil {
			order = append(order, t)
		}
		byTarget[t] = append(byTarget[t], quantity.Numbered{Run: &runs[i], N: i + 1})
	}
	return order, byTarget
}
