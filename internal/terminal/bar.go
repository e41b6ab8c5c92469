package terminal

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// lineEvery is the time between two lines where there is no terminal.
const lineEvery = 30 * time.Second

// Bar shows the progress of long work: on a terminal as a bar with count, rate and time left,
// elsewhere in a line every 30 seconds. It is for one goroutine.
type Bar struct {
	w    io.Writer
	bar  *progressbar.ProgressBar // nil without a terminal
	next time.Time
}

// NewBar returns a bar on w for what is done, such as "auditing". Nothing is shown yet.
func NewBar(w io.Writer, what string) *Bar {
	b := &Bar{w: w, next: time.Now().Add(lineEvery)}
	if Of(w) != nil {
		// Without an interval of its own it starts no goroutine. (I7)
		b.bar = progressbar.NewOptions64(1, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetPredictTime(true),
			progressbar.OptionThrottle(drawEvery), progressbar.OptionClearOnFinish())
	}
	return b
}

// Show tells that done of about expected elements are done. line says the same, without an
// end of line, where there is no terminal; it is called when it is needed. Errors of
// w are ignored.
func (b *Bar) Show(done, expected uint64, line func() string) {
	if b.bar != nil {
		// Never full before the end: it would not go on then.
		if most := int64(max(expected, done+1)); b.bar.GetMax64() != most {
			b.bar.ChangeMax64(most)
		}
		_ = b.bar.Set64(int64(done))
		return
	}
	if now := time.Now(); now.After(b.next) {
		b.next = now.Add(lineEvery)
		_, _ = fmt.Fprintf(b.w, "%s\n", line())
	}
}

// Stop takes the bar away.
func (b *Bar) Stop() {
	if b.bar != nil {
		_ = b.bar.Clear()
	}
}
