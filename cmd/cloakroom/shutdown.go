package main

import (
	"context"
	"fmt"

	"github.com/cloakroom-dev/cloakroom/internal/parts"
	"golang.org/x/sync/errgroup"
)

// serveOn goes on serving for --shutdown-delay, while /readyz says that it will not
// for long. A part that fails ends it.
func (s *sidecar) serveOn() error {
	if s.c.ShutdownDelay == 0 {
		return nil
	}
	return s.parts.Pause(context.Background(), s.c.ShutdownDelay)
}

// startListeners lets the listeners of requests run as one part with the console, so that they
// drain at the same time. What is nil is left out.
func (s *sidecar) startListeners(api, verify, grpc, console func(context.Context) error) {
	s.parts.Start("listeners", func(ctx context.Context) error {
		g, ctx := errgroup.WithContext(ctx)
		for _, l := range []struct {
			name string
			run  func(context.Context) error
		}{{"API listener", api}, {"verify listener", verify}, {"gRPC listener", grpc}, {"console", console}} {
			if l.run == nil {
				continue
			}
			g.Go(func() error {
				err := l.run(ctx)
				if err == nil && ctx.Err() == nil {
					err = parts.ErrEndedByItself
				}
				if err != nil {
					return fmt.Errorf("%s: %w", l.name, err)
				}
				return nil
			})
		}
		return g.Wait()
	})
}
