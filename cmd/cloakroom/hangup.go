package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// reloads says whether SIGHUP has the program read its files again. It ends any
// other one, as when its terminal is closed.
func reloads(args []string) bool { return len(args) > 0 && args[0] == "serve" }

// untilHangup returns a context that also ends on hangup, any number of times: a
// closed terminal may send several. SIGINT and SIGTERM end the process at once then.
// stop must be called; it waits for what was started. (I7)
func untilHangup(ctx context.Context, hangup <-chan os.Signal) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-hangup:
			signal.Reset(syscall.SIGINT, syscall.SIGTERM)
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel()
		<-done
	}
}
