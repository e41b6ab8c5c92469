package sessions

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/usage"
)

// block is a list of lines, each of which has a name.
type block struct{ names, texts []string }

// line adds a line, unless its text is empty.
func (b *block) line(name, text string) {
	if text = strings.TrimSpace(usage.Printable(text)); text != "" {
		b.names, b.texts = append(b.names, name), append(b.texts, text)
	}
}

func (b *block) date(name string, at, now time.Time) { b.line(name, instantAnd(at, now)) }

// print prints the lines, with their texts aligned.
func (b *block) print(w io.Writer) error {
	width := 0
	for _, name := range b.names {
		width = max(width, len(name))
	}
	var out strings.Builder
	for i, name := range b.names {
		fmt.Fprintf(&out, "%-*s  %s\n", width, name, b.texts[i])
	}
	_, err := io.WriteString(w, out.String())
	return err
}
