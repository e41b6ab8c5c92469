package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/apiclient"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

const (
	// spinAfter is how long something takes before a spinner shows that it goes on.
	spinAfter = 500 * time.Millisecond
	spinEvery = 100 * time.Millisecond
	// askPoll is how often a question looks whether it has been interrupted.
	askPoll = 100 * time.Millisecond
	// maxReply is the longest answer to a question that is read, in bytes.
	maxReply = 256
)

// isTerminal returns rw as the terminal that it is, nil if it is none.
func isTerminal(rw any) *os.File {
	if f, ok := rw.(*os.File); ok && f != nil && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

// spin shows on a terminal that something goes on which takes long, until stop
// is called.
func spin(w io.Writer, what string) (stop func()) {
	if isTerminal(w) == nil {
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
		ticker := time.NewTicker(spinEvery)
		defer ticker.Stop()
		for {
			_ = b.RenderBlank() // what cannot be shown is not missed
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

// ask asks a question and says whether the answer is yes. All but y and yes is
// no, as is the end of the input.
func ask(ctx context.Context, tty *os.File, w io.Writer, question string) (yes bool, err error) {
	if _, err := io.WriteString(w, question); err != nil {
		return false, err
	}
	var line []byte
	for len(line) < maxReply && !strings.HasSuffix(string(line), "\n") {
		// A read could not be interrupted.
		fds := []unix.PollFd{{Fd: int32(tty.Fd()), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int(askPoll.Milliseconds()))
		switch {
		case ctx.Err() != nil:
			_, _ = io.WriteString(w, "\n")
			return false, apiclient.ErrNothingRevoked
		case err != nil && !errors.Is(err, unix.EINTR):
			return false, err
		case err != nil || n == 0:
			continue
		}
		var b [maxReply]byte
		n, err = tty.Read(b[:])
		line = append(line, b[:n]...)
		if errors.Is(err, io.EOF) { // the cursor is behind the question still
			_, err = io.WriteString(w, "\n")
			return false, err
		}
		if err != nil {
			return false, err
		}
	}
	switch strings.ToLower(strings.TrimSpace(string(line))) {
	case "y", "yes":
		return true, nil
	}
	return false, nil
}
