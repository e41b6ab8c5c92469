package terminal

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

const (
	// spinAfter is how long something takes before a spinner shows that it goes on.
	spinAfter = 500 * time.Millisecond
	// drawEvery is how often a spinner or a bar is drawn.
	drawEvery = 100 * time.Millisecond
)

// Spin shows a spinner on w from half a second on until stop is called; stop must be called. It
// shows nothing if w is no terminal.
func Spin(w io.Writer, what string) (stop func()) {
	if Of(w) == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-ctx.Done():
			return
		case <-time.After(spinAfter):
		}
		// Without an interval of its own it starts no goroutine. (I7)
		b := progressbar.NewOptions(-1, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what),
			progressbar.OptionSpinnerType(14), progressbar.OptionSetSpinnerChangeInterval(0), progressbar.OptionClearOnFinish())
		ticker := time.NewTicker(drawEvery)
		defer ticker.Stop()
		for {
			_ = b.RenderBlank() // a spinner that cannot be drawn is no fault
			select {
			case <-ctx.Done():
				_ = b.Clear()
				return
			case <-ticker.C:
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}
