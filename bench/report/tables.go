package report

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cloakroom-dev/cloakroom/bench/quantity"
	"github.com/cloakroom-dev/cloakroom/bench/result"
)

// cellView is a cell of a table; Sub stands below, small.
type cellView struct{ Text, Sub string }

// tableView is a table. The first column is a name.
type tableView struct {
	Head []string
	Rows [][]cellView
}

// spreadCell shows the median, and below it the range.
func spreadCell(u quantity.Unit, s quantity.Sample) cellView {
	text, rest, _ := strings.Cut(u.Spread(s), " (")
	return cellView{text, strings.TrimSuffix(rest, ")")}
}

// loadsTable has a row for each load: the medians of its valid runs.
func loadsTable(groups []*quantity.Repeats) tableView {
	t := tableView{Head: []string{"load", "valid runs"}}
	for _, q := range quantity.OfRun {
		t.Head = append(t.Head, strings.TrimPrefix(q.Name, "latency "))
	}
	for _, g := range groups {
		row := []cellView{{Text: g.Kind.String()}, {Text: fmt.Sprintf("%d of %d", len(g.Valid), len(g.Valid)+len(g.Invalid))}}
		for _, q := range quantity.OfRun {
			row = append(row, spreadCell(q.Unit, g.Of(q.Value)))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// figuresTable has a row for each of the scenario's own figures, and a column for each load.
func figuresTable(groups []*quantity.Repeats) tableView {
	var valid []quantity.Numbered
	for _, g := range groups {
		valid = append(valid, g.Valid...)
	}
	names := quantity.FigureNames(valid)
	if len(names) == 0 {
		return tableView{}
	}
	t := tableView{Head: []string{"figure"}}
	for _, g := range groups {
		t.Head = append(t.Head, g.Kind.String())
	}
	for _, name := range names {
		row := []cellView{{Text: name}}
		for _, g := range groups {
			row = append(row, spreadCell(quantity.Plain, quantity.Figure(g.Valid, name)))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func triesTable(m *result.Max) tableView {
	t := tableView{Head: []string{"try", "rate", "step", "held", "cause"}}
	for i, try := range m.Tries {
		held := "no"
		if try.Held {
			held = "yes"
		}
		t.Rows = append(t.Rows, []cellView{{Text: strconv.Itoa(i + 1)}, {Text: quantity.PerSecond.Text(try.Rate)}, {Text: try.Step}, {Text: held}, {Text: try.Cause}})
	}
	return t
}

// runHead names the cells of a run.
var runHead = []string{"run", "load", "achieved", "p50", "p99", "p99.9", "max", "service p99", "late", "dropped", "errors", "wrong"}

func newRunView(number int, r *result.Run) runView {
	how := r.Mode
	if r.Schedule != "" {
		how += ", " + r.Schedule
	}
	how += fmt.Sprintf(", %d connections, %s s", r.Connections, quantity.Digits(r.Seconds))
	count := func(n uint64) string { return quantity.Commas(strconv.FormatUint(n, 10)) }
	l := quantity.Kind{Side: r.Side, Label: r.Label, Mode: r.Mode, Rate: r.Rate}
	return runView{
		Cells: []cellView{
			{Text: strconv.Itoa(number)},
			{l.String(), how},
			{quantity.PerSecond.Text(r.Achieved), count(r.Answered) + " of " + count(r.Due)},
			{Text: quantity.Microseconds.Text(r.Latency.P50)},
			{Text: quantity.Microseconds.Text(r.Latency.P99)},
			{Text: quantity.Microseconds.Text(r.Latency.P999)},
			{Text: quantity.Microseconds.Text(r.Latency.Max)},
			{Text: quantity.Microseconds.Text(r.Service.P99)},
			{Text: count(r.Late)},
			{Text: count(r.Dropped)},
			{Text: count(r.Errors)},
			{Text: count(r.Wrong)},
		},
		Invalid: r.Invalid, FirstError: r.FirstError,
	}
}
