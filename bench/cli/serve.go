package cli

import (
	"context"
	"errors"
)

// ServeUntil runs serve until ctx ends, and then stop, which has it end. It returns the
// errors of both; serve has ended by then.
func ServeUntil(ctx context.Context, serve, stop func() error) error {
	served := make(chan error, 1)
	go func() { served <- serve() }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	err := stop()
	return errors.Join(err, <-served)
}
