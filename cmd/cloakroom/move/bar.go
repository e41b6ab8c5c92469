package move

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache/transfer"
	"github.com/cloakroom-dev/cloakroom/internal/terminal"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
)

const (
	// caughtEvery is how often a line tells up to when an export that follows changes has come.
	caughtEvery = 30 * time.Second
	// faultsShown is how many lines and sessions are named that could not be moved.
	faultsShown = 20
)

// bar shows how far a move is. It is safe for concurrent use.
type bar struct {
	w    io.Writer
	name string

	mu     sync.Mutex
	bar    *terminal.Bar
	begun  time.Time
	next   time.Time // when to tell again that it has caught up; zero before it has
	faults int
}

func newBar(w io.Writer, name string) *bar {
	return &bar{w: w, name: name, bar: terminal.NewBar(w, name), begun: time.Now()}
}

func (b *bar) exported(p transfer.ExportProgress) { b.show(p.Seen, p.Expected, "read", p.CaughtUp) }

func (b *bar) imported(p transfer.ImportProgress) {
	b.show(p.Lines, p.Expected, "imported", p.CaughtUp)
}

// show tells how far it is.
func (b *bar) show(done, expected uint64, verb string, caughtUp time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	switch {
	case caughtUp.IsZero():
		b.bar.Show(done, expected, func() string {
			took := now.Sub(b.begun)
			text := fmt.Sprintf("%s: %s %d of about %d; %.0f a second", b.name, verb, done, expected, float64(done)/took.Seconds())
			if done > 0 && expected > done {
				text += fmt.Sprintf("; about %v left", time.Duration(float64(took)/float64(done)*float64(expected-done)).Round(time.Second))
			}
			return text
		})
	case now.After(b.next):
		b.bar.Stop()
		b.next = now.Add(caughtEvery)
		_, _ = fmt.Fprintf(b.w, "%s: caught up: all changes before %s are %sed\n", b.name, caughtUp.Format("15:04:05.000Z07:00"), b.name)
	}
}

// unreadable names what could not be read.
func (b *bar) unreadable(what string, err error) { b.fault(what, err) }

// failedLine names a line that could not be imported.
func (b *bar) failedLine(line uint64, err error) { b.fault(fmt.Sprintf("line %d", line), err) }

func (b *bar) fault(what string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.faults++; b.faults > faultsShown {
		return
	}
	b.bar.Stop()
	_, _ = fmt.Fprintf(b.w, "%s: %s: %v\n", b.name, usage.Printable(what), err)
	if b.faults == faultsShown {
		_, _ = fmt.Fprintf(b.w, "%s: further ones are counted only\n", b.name)
	}
}

func (b *bar) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bar.Stop()
}

// exportedText says what an export has done.
func exportedText(e *transfer.Exported, took time.Duration) string {
	text := fmt.Sprintf("exported %s, %s and %s in %v", terminal.Count(e.Sessions, "session"), terminal.Count(e.Deletions, "deletion"),
		terminal.Count(e.Ends, "end"), took.Round(time.Millisecond))
	if e.Copies > 0 {
		text += fmt.Sprintf("; %s left out, which come from a ZITADEL", terminal.Count(e.Copies, "session"))
	}
	if e.Passes > 1 {
		text += fmt.Sprintf("; everything %d times, because the connection for changes was lost", e.Passes)
	}
	return text
}

// importedText says what an import has done.
func importedText(i *transfer.Imported, took time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "imported %s in %v", terminal.Count(i.Stored, "session"), took.Round(time.Millisecond))
	for _, part := range []struct {
		n    uint64
		what string
	}{
		{i.Unchanged, "unchanged"},
		{i.Older, "older than here"},
		{i.Expired, "expired"},
		{i.Deleted, "deleted here"},
		{i.Ended, "ended here"},
	} {
		if part.n > 0 {
			fmt.Fprintf(&b, ", %d %s", part.n, part.what)
		}
	}
	fmt.Fprintf(&b, "; %s done, %d known; %s noted, %d known", terminal.Count(i.Buried, "deletion"), i.Known, terminal.Count(i.Noted, "end"), i.NotedBefore)
	if i.Failed > 0 {
		fmt.Fprintf(&b, "; %s failed", terminal.Count(i.Failed, "line"))
	}
	return b.String()
}
