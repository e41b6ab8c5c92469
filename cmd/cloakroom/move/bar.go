package move

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache/transfer"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

const (
	// barEvery is how often a bar is drawn.
	barEvery = 100 * time.Millisecond
	// lineEvery is how often a line tells how far it is, where there is no terminal, or no end.
	lineEvery = 30 * time.Second
	// failuresShown is how many lines and sessions are named that could not be moved.
	failuresShown = 20
)

// bar shows how far a move is: as a bar on a terminal, else in a line now and then. It is safe for concurrent use.
type bar struct {
	w    io.Writer
	name string

	mu     sync.Mutex
	bar    *progressbar.ProgressBar // nil without a terminal, and once there is no end
	begun  time.Time
	next   time.Time
	failed int
	caught bool
}

func newBar(w io.Writer, name string) *bar {
	now := time.Now()
	b := &bar{w: w, name: name, begun: now, next: now.Add(lineEvery)}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		// Without an interval of its own it starts no goroutine. (I7)
		b.bar = progressbar.NewOptions64(1, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(name),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetPredictTime(true),
			progressbar.OptionThrottle(barEvery), progressbar.OptionClearOnFinish())
	}
	return b
}

func (b *bar) exported(p transfer.ExportProgress) { b.show(p.Seen, p.Expected, "read", p.CaughtUp) }

func (b *bar) imported(p transfer.ImportProgress) {
	b.show(p.Lines, p.Expected, "imported", p.CaughtUp)
}

// show tells how far it is. What cannot be shown is not missed.
func (b *bar) show(done, expected uint64, verb string, caughtUp time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if !caughtUp.IsZero() {
		if b.bar != nil {
			_ = b.bar.Clear()
			b.bar = nil
		}
		if !b.caught || now.After(b.next) {
			b.caught, b.next = true, now.Add(lineEvery)
			_, _ = fmt.Fprintf(b.w, "%s: caught up: all changes before %s are %sed\n", b.name, caughtUp.Format("15:04:05.000Z07:00"), b.name)
		}
		return
	}
	if b.bar != nil {
		// Never full before the end: it would not go on then.
		if most := int64(max(expected, done+1)); b.bar.GetMax64() != most {
			b.bar.ChangeMax64(most)
		}
		_ = b.bar.Set64(int64(done))
		return
	}
	if now.After(b.next) {
		b.next = now.Add(lineEvery)
		took := now.Sub(b.begun)
		text := fmt.Sprintf("%s: %s %d of about %d; %.0f a second", b.name, verb, done, expected, float64(done)/took.Seconds())
		if done > 0 && expected > done {
			text += fmt.Sprintf("; about %v left", time.Duration(float64(took)/float64(done)*float64(expected-done)).Round(time.Second))
		}
		_, _ = fmt.Fprintln(b.w, text)
	}
}

// unreadable names what could not be read.
func (b *bar) unreadable(what string, err error) { b.fault(what, err) }

// failedLine names a line that could not be imported.
func (b *bar) failedLine(line uint64, err error) { b.fault(fmt.Sprintf("line %d", line), err) }

func (b *bar) fault(what string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed++; b.failed > failuresShown {
		return
	}
	if b.bar != nil {
		_ = b.bar.Clear()
	}
	_, _ = fmt.Fprintf(b.w, "%s: %s: %v\n", b.name, what, err)
	if b.failed == failuresShown {
		_, _ = fmt.Fprintf(b.w, "%s: further ones are counted only\n", b.name)
	}
}

func (b *bar) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bar != nil {
		_ = b.bar.Clear()
	}
}

// plural returns a number with what it counts.
func plural(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// exportedText says what an export has done.
func exportedText(e *transfer.Exported, took time.Duration) string {
	text := fmt.Sprintf("exported %s, %s and %s in %v", plural(e.Sessions, "session", "sessions"), plural(e.Deletions, "deletion", "deletions"),
		plural(e.Ends, "end", "ends"), took.Round(time.Millisecond))
	if e.Copies > 0 {
		text += fmt.Sprintf("; %s of a ZITADEL's sessions left out: they come from there", plural(e.Copies, "copy", "copies"))
	}
	if e.Passes > 1 {
		text += fmt.Sprintf("; everything %d times, because the connection for changes was lost", e.Passes)
	}
	return text
}

// importedText says what an import has done.
func importedText(i *transfer.Imported, took time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "imported %s in %v", plural(i.Stored, "session", "sessions"), took.Round(time.Millisecond))
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
	fmt.Fprintf(&b, "; %s done, %d known; %s noted, %d known", plural(i.Buried, "deletion", "deletions"), i.Known, plural(i.Noted, "end", "ends"), i.NotedBefore)
	if i.Failed > 0 {
		fmt.Fprintf(&b, "; %s failed", plural(i.Failed, "line", "lines"))
	}
	return b.String()
}
