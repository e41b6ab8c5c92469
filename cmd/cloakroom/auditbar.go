package main

import (
	"fmt"
	"io"
	"time"

	"github.com/cloakroom-dev/cloakroom/index/audit"
	"github.com/schollz/progressbar/v3"
)

// auditLineEvery is how often a line tells how far an audit is, where there is no
// terminal.
const auditLineEvery = 30 * time.Second

// auditBar shows how far an audit is: as a bar on a terminal, else in a line now
// and then.
type auditBar struct {
	w    io.Writer
	bar  *progressbar.ProgressBar // nil without a terminal
	next time.Time
}

func newAuditBar(w io.Writer) *auditBar {
	b := &auditBar{w: w, next: time.Now().Add(auditLineEvery)}
	if isTerminal(w) != nil {
		// Without an interval of its own it starts no goroutine. (I7)
		b.bar = progressbar.NewOptions64(1, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription("auditing"),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetPredictTime(true),
			progressbar.OptionThrottle(spinEvery), progressbar.OptionClearOnFinish())
	}
	return b
}

// show tells how far the audit is. What cannot be shown is not missed.
func (b *auditBar) show(r *audit.Report, expected uint64) {
	looked := r.Looked()
	if b.bar != nil {
		// Never full before the end: it would not go on then.
		if most := int64(max(expected, looked+1)); b.bar.GetMax64() != most {
			b.bar.ChangeMax64(most)
		}
		_ = b.bar.Set64(int64(looked))
		return
	}
	if now := time.Now(); now.After(b.next) {
		b.next = now.Add(auditLineEvery)
		_, _ = fmt.Fprintf(b.w, "looked at %d of about %d sessions, cards, entries and notes; %s so far\n", looked, expected, plural(drifts(r), "drift"))
	}
}

func (b *auditBar) stop() {
	if b.bar != nil {
		_ = b.bar.Clear()
	}
}

// drifts counts what was found.
func drifts(r *audit.Report) (n uint64) {
	for _, c := range r.Drift {
		n += c.Found
	}
	return n
}
