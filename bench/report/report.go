// Package report is bench report: it makes one HTML page of result files, with plots,
// that needs nothing else. Look here when a plot or a table should show more.
package report

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"html/template"
	"io"
	"os"

	"github.com/cloakroom-dev/cloakroom/bench/cli"
	"github.com/cloakroom-dev/cloakroom/bench/result"

	_ "embed"
)

//go:embed report.html
var reportHTML string

var reportTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"runHead": func() []string { return runHead },
	"theme":   func() template.CSS { return template.CSS(theme()) },
	"inks": func() []ink {
		all := make([]ink, inks)
		for i := range all {
			all[i] = ink(i)
		}
		return all
	},
}).Parse(reportHTML))

// Command is bench report: it writes one HTML file about result files, with plots, that needs nothing else; or one plot.
func Command(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("report", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "Usage: bench report FILE.json... [flags]")
		flags.PrintDefaults()
	}
	out := flags.String("out", "report.html", "write the report to this `FILE`; - is the standard output")
	asSVG := flags.Bool("svg", false, "write one plot instead of a page: the latencies by percentile of all files, as an SVG that needs nothing else")
	title := flags.String("title", "Benchmark report", "title of the report")
	names, err := cli.ParseFiles(flags, args, stderr)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return errors.New("report: a result file is required")
	}
	var results []*result.File
	for _, name := range names {
		r, err := result.Read(name)
		if err != nil {
			return err
		}
		results = append(results, r)
	}
	render := renderReport
	if *asSVG {
		render = renderSVG
	}
	page, err := render(*title, results)
	if err != nil {
		return err
	}
	if *out == "-" {
		_, err := stdout.Write(page)
		return err
	}
	return os.WriteFile(*out, page, 0o644)
}

// renderReport returns the page.
func renderReport(title string, results []*result.File) ([]byte, error) {
	page := pageView{Title: title}
	for i, r := range results {
		section, err := newSection(i+1, r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.Name, err)
		}
		page.Sections = append(page.Sections, section)
	}
	var out bytes.Buffer
	if err := reportTemplate.Execute(&out, &page); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
