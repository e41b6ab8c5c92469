package move

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache/transfer"
)

// Whoever waits for an import to catch up is told of lines that are missing, and no text of a file reaches the terminal as
// a control sequence.
func TestBar_TellsOfFailedLines(t *testing.T) {
	var log strings.Builder
	b := newBar(&log, "import")
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b.imported(transfer.ImportProgress{CaughtUp: at})
	b.next = time.Time{}
	b.failedLine(7, errors.New("unknown field \x1b[2J"))
	b.imported(transfer.ImportProgress{Imported: transfer.Imported{Failed: 2}, CaughtUp: at})
	for _, want := range []string{
		"import: caught up: all changes before 03:04:05.000Z are imported\n",
		"import: caught up: all changes before 03:04:05.000Z are imported, but 2 lines could not be\n",
		"import: line 7: unknown field ",
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is missing in\n%q", want, log.String())
		}
	}
	if strings.Contains(log.String(), "\x1b") {
		t.Errorf("a control character is printed: %q", log.String())
	}
}
