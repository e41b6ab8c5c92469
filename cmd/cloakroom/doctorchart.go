package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/cloakroom-dev/cloakroom/internal/doctor"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
)

// chart prints findings.
type chart struct {
	w      io.Writer
	colour bool
	// begun says that something was printed. heading is what the findings are below, "" at first.
	begun   bool
	heading string
	err     error
}

func (c *chart) printf(format string, args ...any) {
	if c.err == nil {
		_, c.err = fmt.Fprintf(c.w, format, args...)
		c.begun = true
	}
}

// finding prints one, those of each issuer and of a ZITADEL below a heading.
func (c *chart) finding(f doctor.Finding) {
	heading := f.Section
	switch {
	case f.Issuer != "":
		heading = "issuer " + usage.Printable(f.Issuer)
	case heading == "":
		c.status(11, &f)
		return
	}
	c.line(heading != c.heading, heading, &f)
	c.heading = heading
}

// line prints a finding that is not about Redis, the first one below a heading.
func (c *chart) line(first bool, heading string, f *doctor.Finding) {
	if first && c.begun {
		c.printf("\n")
	}
	if first {
		c.printf("%s\n", heading)
	}
	c.status(13, f)
}

// status prints status, check, what was found, and what to do. The names of checks take so many columns.
func (c *chart) status(columns int, f *doctor.Finding) {
	word, colour := string(f.Status), "32"
	switch f.Status {
	case doctor.Fail:
		word, colour = "FAIL", "1;31"
	case doctor.Warn:
		colour = "33"
	case doctor.Skip:
		colour = "2"
	}
	word = fmt.Sprintf("%-4s", word)
	if c.colour {
		word = "\x1b[" + colour + "m" + word + "\x1b[0m"
	}
	found := usage.Printable(f.Found)
	if f.Node != "" {
		found = f.Node + ": " + found
	}
	c.printf("%s  %-*s  %s\n", word, columns, f.Check, found)
	for _, fix := range f.Fix {
		c.printf("%s→ %s\n", strings.Repeat(" ", columns+8), usage.Printable(fix))
	}
}
