package terminal

import (
	"fmt"
	"strings"

	"github.com/cloakroom-dev/cloakroom/internal/usage"
)

// Count says how many there are of what noun names: no session, 1 session, 2 sessions.
func Count(n uint64, noun string) string {
	switch n {
	case 0:
		return "no " + noun
	case 1:
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Word returns text as it is, or quoted if it could be mistaken for more than a word of a
// sentence.
func Word(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == '"' || r == '\u007f' || r > '~' }) {
		return usage.Quote(text)
	}
	return text
}
