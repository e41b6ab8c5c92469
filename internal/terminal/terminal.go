// Package terminal is what subcommands show and ask where a user sits at a terminal, and do
// not where none does.
package terminal

import (
	"os"

	"golang.org/x/term"
)

// Of returns rw as the terminal that it is, nil if it is none.
func Of(rw any) *os.File {
	if f, ok := rw.(*os.File); ok && f != nil && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}
