package usage

import (
	"strings"
	"unicode"
)

// Printable makes a text from outside safe for a terminal: without control characters,
// line separators, and what changes the direction of the text around it. (Unicode UAX #9)
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if Unprintable(r) {
			return -1
		}
		return r
	}, text)
}

// Unprintable says whether a terminal must not be sent r that comes from outside.
func Unprintable(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
}
