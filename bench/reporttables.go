package main

import (
	"fmt"
	"strconv"
	"strings"

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
func spreadCell(u unit, s sample) cellView {
	text, rest, _ := strings.Cut(u.spread(s), " (")
	return cellView{text, strings.TrimSuffix(rest, ")")}
}

// loadsTable has a row for each load: the medians of its valid runs.
func loadsTable(groups []*repeats) tableView {
	t := tableView{Head: []string{"load", "valid runs"}}
	for _, q := range runQuantities {
		t.Head = append(t.Head, strings.TrimPrefix(q.name, "latency "))
	}
	for _, g := range groups {
		row := []cellView{{Text: g.kind.String()}, {Text: fmt.Sprintf("%d of %d", len(g.valid), len(g.valid)+len(g.invalid))}}
		for _, q := range runQuantities {
			row = append(row, spreadCell(q.unit, g.of(q.value)))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// figuresTable has a row for each of the scenario's own figures, and a column for each load.
func figuresTable(groups []*repeats) tableView {
	var valid []numbered
	for _, g := range groups {
		valid = append(valid, g.valid...)
	}
	names := figureNames(valid)
	if len(names) == 0 {
		return tableView{}
	}
	t := tableView{Head: []string{"figure"}}
	for _, g := range groups {
		t.Head = append(t.Head, g.kind.String())
	}
	for _, name := range names {
		row := []cellView{{Text: name}}
		for _, g := range groups {
			row = append(row, spreadCell(plain, figure(g.valid, name)))
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
		t.Rows = append(t.Rows, []cellView{{Text: strconv.Itoa(i + 1)}, {Text: perSecond.text(try.Rate)}, {Text: try.Step}, {Text: held}, {Text: try.Cause}})
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
	how += fmt.Sprintf(", %d connections, %s s", r.Connections, digits(r.Seconds))
	count := func(n uint64) string { return commas(strconv.FormatUint(n, 10)) }
	l := kind{Side: r.Side, Label: r.Label, Mode: r.Mode, Rate: r.Rate}
	return runView{
		Cells: []cellView{
			{Text: strconv.Itoa(number)},
			{l.String(), how},
			{perSecond.text(r.Achieved), count(r.Answered) + " of " + count(r.Due)},
			{Text: microseconds.text(r.Latency.P50)},
			{Text: microseconds.text(r.Latency.P99)},
			{Text: microseconds.text(r.Latency.P999)},
			{Text: microseconds.text(r.Latency.Max)},
			{Text: microseconds.text(r.Service.P99)},
			{Text: count(r.Late)},
			{Text: count(r.Dropped)},
			{Text: count(r.Errors)},
			{Text: count(r.Wrong)},
		},
		Invalid: r.Invalid, FirstError: r.FirstError,
	}
}
