package terminal

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// askPoll is how often a question looks whether it has been interrupted.
	askPoll = 100 * time.Millisecond
	// maxReply is the longest answer to a question that is read, in bytes.
	maxReply = 256
)

// Ask writes a question to w and says whether the answer, a line from tty, is yes. All but y
// and yes is no, as is the end of the input. The error is that of ctx if ctx ends first.
func Ask(ctx context.Context, tty *os.File, w io.Writer, question string) (yes bool, err error) {
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
			return false, ctx.Err()
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
