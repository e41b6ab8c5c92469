package sessions

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

const (
	// helpWidth is the most columns that a line of help has, helpColumn where texts begin.
	helpWidth, helpColumn = 80, 20
)

const timesHelp = `
A TIME is an instant (2026-01-31T12:00:00Z), a date (2026-01-31, which begins at
00:00 UTC), now, or 90s, 15m, 2h, 3d, 1w or 1d12h: so long ago, for
--expires-before and --expires-after from now, by the clock of this machine.
`

const exitHelp = `
Exit code: 0 done; 1 it failed; 2 it was called wrongly.
`

// printHelp prints the help of the subcommand.
func printHelp(w io.Writer) error {
	var b strings.Builder
	b.WriteString("Usage: cloakroom sessions VERB [flags]\n\nLists, shows, explains and revokes sessions through a running sidecar.\n\n")
	for _, v := range Verbs() {
		fmt.Fprintf(&b, "  %-13s %s\n", v.Name, v.Help)
	}
	b.WriteString("\n`cloakroom help sessions VERB` lists the flags of one.\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// printHelp prints the help of a verb.
func (v *Verb) printHelp(w io.Writer) error {
	var b strings.Builder
	b.WriteString(v.intro)
	for _, g := range v.groups {
		fmt.Fprintf(&b, "\n%s\n", g.heading)
		for i := range g.options {
			g.options[i].print(&b)
		}
		if strings.HasPrefix(g.heading, "WHICH") {
			b.WriteString(timesHelp)
		}
	}
	b.WriteString(exitHelp)
	_, err := io.WriteString(w, b.String())
	return err
}

// print writes an option and what it is for, in lines of at most helpWidth columns.
func (o *option) print(b *strings.Builder) {
	column, _ := fmt.Fprintf(b, "  --%-*s", helpColumn-len("  --"), o.name)
	for i, word := range strings.Fields(o.help) {
		n := utf8.RuneCountInString(word)
		if column+1+n > helpWidth {
			column, _ = fmt.Fprintf(b, "\n%*s", helpColumn, "")
			column--
		} else if i > 0 {
			b.WriteString(" ")
			column++
		}
		b.WriteString(word)
		column += n
	}
	b.WriteString("\n")
}
