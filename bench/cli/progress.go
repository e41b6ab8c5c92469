package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// say is how often a progress that is not a terminal's gets a line.
const say = 5 * time.Second

// Progress shows on w how far something is, until stop is called: a bar on a
// terminal, else a line every few seconds. look returns how much of total is
// done, and more to say; it is called on another goroutine. stop waits for that.
func Progress(w io.Writer, what string, total int64, look func() (done int64, more string)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			bar(ctx, w, what, total, look)
		} else {
			lines(ctx, w, what, total, look)
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// Count is how much is done, for Progress. It is safe for concurrent use.
type Count struct{ Done atomic.Int64 }

// Look is Progress' look.
func (t *Count) Look() (int64, string) { return t.Done.Load(), "" }

func bar(ctx context.Context, w io.Writer, what string, total int64, look func() (int64, string)) {
	b := progressbar.NewOptions64(total, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what),
		progressbar.OptionSetWidth(30), progressbar.OptionClearOnFinish(), progressbar.OptionShowCount())
	every(ctx, 200*time.Millisecond, func() {
		done, more := look()
		b.Describe(what + more)
		_ = b.Set64(min(done, total-1)) // at its end it would finish by itself
	})
	_ = b.Clear()
}

func lines(ctx context.Context, w io.Writer, what string, total int64, look func() (int64, string)) {
	every(ctx, say, func() {
		done, more := look()
		fmt.Fprintf(w, "%s: %d of %d%s\n", what, done, total, more)
	})
}

func every(ctx context.Context, d time.Duration, f func()) {
	t := time.NewTicker(d)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			f()
		}
	}
}
