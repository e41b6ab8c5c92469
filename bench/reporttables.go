package main

import "strconv"

// loadsTable has a row for each load: the medians of its valid runs.
func loadsTable(groups []*repeats) tableView {
	t := tableView{Head: []string{"load", "valid runs"}}
	for _, q := range runQuantities {
		t.Head = append(t.Head, q.name)
	}
	for _, g := range groups {
		row := []string{g.load.String(), strconv.Itoa(len(g.valid)) + " of " + strconv.Itoa(len(g.valid)+len(g.invalid))}
		for _, q := range runQuantities {
			row = append(row, q.unit.spread(g.of(q.value)))
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
		t.Head = append(t.Head, g.load.String())
	}
	for _, name := range names {
		row := []string{name}
		for _, g := range groups {
			row = append(row, plain.spread(figure(g.valid, name)))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func triesTable(m *Max) tableView {
	t := tableView{Head: []string{"try", "rate", "step", "held", "cause"}}
	for i, try := range m.Tries {
		held := "no"
		if try.Held {
			held = "yes"
		}
		t.Rows = append(t.Rows, []string{strconv.Itoa(i + 1), perSecond.text(try.Rate), try.Step, held, try.Cause})
	}
	return t
}

// runHead names the cells of a run.
var runHead = []string{
	"run", "load", "loop", "connections", "measured", "due", "answered", "achieved", "p50", "p99", "p99.9", "max",
	"service p99", "late", "dropped", "errors", "wrong",
}

func newRunView(number int, r *Run) runView {
	loop := r.Mode
	if r.Schedule != "" {
		loop += ", " + r.Schedule
	}
	count := func(n uint64) string { return commas(strconv.FormatUint(n, 10)) }
	g := load{Side: r.Side, Label: r.Label, Mode: r.Mode, Rate: r.Rate}
	return runView{
		Cells: []string{
			strconv.Itoa(number), g.String(), loop, strconv.Itoa(r.Connections), digits(r.Seconds) + " s", count(r.Due), count(r.Answered),
			perSecond.text(r.Achieved), micros.text(r.Latency.P50), micros.text(r.Latency.P99), micros.text(r.Latency.P999),
			micros.text(r.Latency.Max), micros.text(r.Service.P99), count(r.Late), count(r.Dropped), count(r.Errors), count(r.Wrong),
		},
		Closed: r.Mode == "closed", Invalid: r.Invalid, FirstError: r.FirstError, Bad: r.Errors+r.Wrong > 0,
	}
}
