package compare

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/cloakroom-dev/cloakroom/bench/quantity"
	"github.com/cloakroom-dev/cloakroom/bench/result"
)

// comparisonNotes say how to read the tables.
var comparisonNotes = []string{
	"Each value is the median of the repeats (lowest–highest); change and verdict are of B against A.",
	"With four repeats or more on each side a verdict is given if p < 0.05 in an exact Mann–Whitney test, so one verdict in twenty is chance.",
	"With fewer it is given if the ranges do not meet, which chance alone does once in 3 with two repeats, once in 10 with three.",
	"A highest rate's range ends at the lowest rate above it that did not hold.",
	"The files were made at different times: what changed on the machine in between is in no range. Measure pairs for a ratio.",
}

var comparisonHead = []string{"", "A", "B", "change", "verdict", "decided by"}

func (r *comparisonRow) cells() []string {
	return []string{r.name, r.a, r.b, r.change, r.verdict, r.decided}
}

// describe says which file a side is.
func describe(r *result.File) string {
	return fmt.Sprintf("%s, %s of %s, %s, commit %s", r.Name, quantity.OrNone(r.Kind), quantity.OrNone(r.Scenario),
		r.Started.UTC().Format("2006-01-02 15:04 UTC"), quantity.OrNone(r.Environment.Commit))
}

// text prints c as plain text.
func (c *comparison) text(w io.Writer) error {
	var out bytes.Buffer
	fmt.Fprintf(&out, "A  %s\nB  %s\n", printable(describe(c.a)), printable(describe(c.b)))
	if len(c.warnings) > 0 {
		out.WriteByte('\n')
	}
	for _, warning := range c.warnings {
		fmt.Fprintf(&out, "warning: %s\n", printable(warning))
	}
	for _, table := range c.tables {
		fmt.Fprintf(&out, "\n%s\n", printable(table.title))
		tw := tabwriter.NewWriter(&out, 0, 0, 3, ' ', 0)
		line := func(cells []string) { fmt.Fprintf(tw, "  %s\n", strings.Join(cells, "\t")) }
		line(comparisonHead)
		for i := range table.rows {
			cells := table.rows[i].cells()
			for i := range cells {
				cells[i] = printable(cells[i])
			}
			line(cells)
		}
		_ = tw.Flush()
	}
	out.WriteByte('\n')
	for _, note := range comparisonNotes {
		fmt.Fprintln(&out, note)
	}
	_, err := w.Write(out.Bytes())
	return err
}

// markdown prints c as Markdown.
func (c *comparison) markdown(w io.Writer) error {
	var out bytes.Buffer
	fmt.Fprintf(&out, "- A: %s\n- B: %s\n", escapeMarkdown(describe(c.a)), escapeMarkdown(describe(c.b)))
	for _, warning := range c.warnings {
		fmt.Fprintf(&out, "- **Warning:** %s\n", escapeMarkdown(warning))
	}
	for _, table := range c.tables {
		fmt.Fprintf(&out, "\n**%s**\n\n| %s |\n|---|---:|---:|---:|---|---|\n", escapeMarkdown(table.title), strings.Join(comparisonHead, " | "))
		for i := range table.rows {
			cells := table.rows[i].cells()
			for i := range cells {
				cells[i] = escapeMarkdown(cells[i])
			}
			fmt.Fprintf(&out, "| %s |\n", strings.Join(cells, " | "))
		}
	}
	out.WriteByte('\n')
	for _, note := range comparisonNotes {
		fmt.Fprintf(&out, "%s\n", escapeMarkdown(note))
	}
	_, err := w.Write(out.Bytes())
	return err
}

var markdownEscaper = strings.NewReplacer(`\`, `\\`, `|`, `\|`, `*`, `\*`, `_`, `\_`, "`", "\\`", `<`, `&lt;`, `&`, `&amp;`, `[`, `\[`)

// escapeMarkdown returns s as a text that Markdown shows as it is.
func escapeMarkdown(s string) string { return markdownEscaper.Replace(printable(s)) }

// printable returns s without what could steer a terminal or break a line.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}
