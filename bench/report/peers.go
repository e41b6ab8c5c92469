package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/cloakroom-dev/cloakroom/bench/quantity"
	"github.com/cloakroom-dev/cloakroom/bench/result"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg/draw"
)

// peersView is the table of programs at one number of connections.
type peersView struct {
	Title string
	Table tableView
}

func peersViews(r *result.Result) []peersView {
	var views []peersView
	for _, s := range quantity.ByConnections(r) {
		v := peersView{Title: fmt.Sprintf("Side by side, %d connections", s.Connections)}
		var rows [][]string
		v.Table.Head, rows = s.Table()
		for _, row := range rows {
			cells := make([]cellView, len(row))
			for i, text := range row {
				text, rest, _ := strings.Cut(text, " (")
				cells[i] = cellView{text, strings.TrimSuffix(rest, ")")}
			}
			v.Table.Rows = append(v.Table.Rows, cells)
		}
		views = append(views, v)
	}
	return views
}

// peersSummary says how much faster Cloakroom is than each other program, at the first number of connections.
func peersSummary(r *result.Result) string {
	sides := quantity.ByConnections(r)
	if len(sides) == 0 || len(sides[0].Own()) == 0 {
		return ""
	}
	s := sides[0]
	own := s.Own()[0]
	var ratios []string
	for _, p := range s.Peers {
		if p != own {
			ratios = append(ratios, p.Name+" "+quantity.Plain.Spread(own.RatiosTo(p)))
		}
	}
	return fmt.Sprintf("Rate of %s by that of each other, %d connections, median of the rounds (lowest–highest): %s.", own.Name, s.Connections, strings.Join(ratios, ", "))
}

// peersFigures plot the programs side by side, and their latencies by percentile for each number of connections.
func peersFigures(r *result.Result) ([]*figureView, error) {
	sides := quantity.ByConnections(r)
	var figures []*figureView
	for _, q := range []struct {
		title, axis string
		logTime     bool
		value       func(*quantity.Peer) quantity.Sample
	}{
		{"Rate", "answers/s", false, func(p *quantity.Peer) quantity.Sample {
			return p.Of(func(r *result.Run) float64 { return r.Achieved })
		}},
		{"p99 latency", "p99, log scale", true, func(p *quantity.Peer) quantity.Sample {
			return p.Of(func(r *result.Run) float64 { return r.Latency.P99 })
		}},
		{"CPU of the program", "µs a request", false, (*quantity.Peer).ProgramCPU},
		{"CPU of its store", "µs a request", false, (*quantity.Peer).StoreCPU},
		{"Memory of its store", "bytes a session", false, (*quantity.Peer).StoreBytes},
	} {
		f, err := sideBySideFigure(q.title, q.axis, q.logTime, sides, q.value)
		if err != nil {
			return nil, err
		}
		if f != nil {
			figures = append(figures, f)
		}
	}
	for _, s := range sides {
		f := &figureView{
			Title:   fmt.Sprintf("Latency by percentile, %d connections", s.Connections),
			Caption: "Valid runs only; the rounds of a program are put together, and each is drawn thin behind.",
		}
		var groups []*quantity.Repeats
		for _, g := range quantity.Group(r.Runs) {
			if len(g.Valid) > 0 && g.Valid[0].Connections == s.Connections {
				groups = append(groups, g)
			}
		}
		if len(groups) == 0 {
			continue
		}
		if err := f.drawPercentiles(groups); err != nil {
			return nil, err
		}
		figures = append(figures, f)
	}
	return figures, nil
}

// sideBySideFigure plots a value of each program, a colour for each number of connections. It returns nil if no run has the value.
func sideBySideFigure(title, axis string, logTime bool, sides []*quantity.SideBySide, value func(*quantity.Peer) quantity.Sample) (*figureView, error) {
	f := &figureView{Title: title, Caption: "Medians of the valid rounds; the bars reach from the lowest to the highest."}
	p := newPlot("", axis)
	at := func(v float64) float64 { return v }
	if logTime {
		at = math.Log10
	}
	var names []string
	found := false
	for i, s := range sides {
		c := seriesInk(i)
		var medians plotter.XYs
		for k, peer := range s.Peers {
			if i == 0 {
				names = append(names, peer.Name)
			}
			values := value(peer)
			if len(values) == 0 || values.Lowest() <= 0 && logTime {
				continue
			}
			x := float64(k) + 0.5*(float64(i+1)/float64(len(sides)+1)-0.5)
			medians = append(medians, plotter.XY{X: x, Y: at(values.Median())})
			if len(values) > 1 {
				addLine(p, plotter.XYs{{X: x, Y: at(values.Lowest())}, {X: x, Y: at(values.Highest())}}, c.color(), 1.6, false)
			}
		}
		addDots(p, medians, c.color(), 4, draw.CircleGlyph{})
		f.legend(c, "dot", fmt.Sprintf("%d connections", s.Connections))
		found = found || len(medians) > 0
	}
	if !found {
		return nil, nil
	}
	if logTime {
		useLogTime(p)
	} else {
		p.Y.Min = 0
		p.Y.Max *= 1.05
		p.Y.Tick.Marker = plot.TickerFunc(roundTicks)
	}
	p.X.Min, p.X.Max = -0.5, float64(len(names))-0.5
	p.X.Tick.Marker = plot.TickerFunc(func(_, _ float64) []plot.Tick {
		var ticks []plot.Tick
		for k, name := range names {
			ticks = append(ticks, plot.Tick{Value: float64(k), Label: name})
		}
		return ticks
	})
	return f, f.draw(p, 260)
}
