// Package terminal has the questions, spinners and progress bars of subcommands, which appear
// only on a terminal.
package terminal

import (
	"os"
	"slices"
	"strings"

	"golang.org/x/term"
)

// Of returns rw as the terminal that it is, nil if it is none.
func Of(rw any) *os.File {
	if f, ok := rw.(*os.File); ok && f != nil && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

// Columns returns how many columns the terminal w has, 0 if it is none or does not say.
func Columns(w any) int {
	tty := Of(w)
	if tty == nil {
		return 0
	}
	columns, _, err := term.GetSize(int(tty.Fd()))
	if err != nil {
		return 0
	}
	return columns
}

// Styled says whether w is a terminal that shows colours and more than ASCII, and whose user
// wants that: NO_COLOR (https://no-color.org) is not set in env, and TERM is not dumb.
func Styled(w any, env []string) bool {
	return Of(w) != nil && !slices.ContainsFunc(env, func(v string) bool {
		return strings.HasPrefix(v, "NO_COLOR=") && v != "NO_COLOR=" || v == "TERM=dumb"
	})
}
