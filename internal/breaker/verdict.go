package breaker

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

// patience is how long a call must have waited at least for its time-out to be
// the server's fault. A caller with less time has given up early.
const patience = 500 * time.Millisecond

// errNothingShown is the verdict on a call that shows nothing about its server.
var errNothingShown = errors.New("the call shows nothing about its server")

// away begins the answers of a server that can serve nobody now.
var away = []string{"LOADING", "CLUSTERDOWN", "MASTERDOWN", "BUSY "}

// verdict says what a call that has ended shows about its server: nil that it
// serves, errNothingShown, or why it does not. Whatever else a server answers,
// it answers: an error of one command, or of one caller, is no failure.
func verdict(ctx context.Context, err error, took time.Duration) error {
	var reply redis.Error
	var network net.Error
	var hidden causer
	if errors.As(err, &hidden) {
		err = hidden.Cause()
	}
	switch {
	case isFull(err):
		return err
	case err == nil || errors.Is(err, redis.Nil):
		return nil
	case errors.As(err, &reply):
		for _, prefix := range away {
			if redis.HasErrorPrefix(err, prefix) {
				return err
			}
		}
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, redis.ErrClosed), errors.Is(err, redis.ErrPoolTimeout),
		errors.Is(err, redis.ErrPoolExhausted):
		return errNothingShown
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		if took < patience && over(ctx) {
			return errNothingShown
		}
		return err
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return err
	}
	return errNothingShown // an error of ours: what cannot be written as a command
}

// causer is an error that hides its kind from the client, so that this does not
// repeat what was sent, or keep the connection.
type causer interface{ Cause() error }

// over says whether a caller's time is over. The clock decides: a connection's
// own timer may fire before the context's.
func over(ctx context.Context) bool {
	deadline, has := ctx.Deadline()
	return ctx.Err() != nil || has && !time.Now().Before(deadline)
}
