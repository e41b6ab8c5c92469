package usage

import "strings"

// Printable makes a text from outside safe for a terminal: without control characters.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= '\u007f' && r < '\u00a0' {
			return -1
		}
		return r
	}, text)
}
