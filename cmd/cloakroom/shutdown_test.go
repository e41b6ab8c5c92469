package main

import (
	"context"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/parts"
)

// The console and the listeners stop at the same time: neither waits for what the other one still does.
func TestStartListeners_AllDrainAtOnce(t *testing.T) {
	s := &sidecar{parts: parts.New()}
	stopping := map[string]chan struct{}{"api": make(chan struct{}), "grpc": make(chan struct{}), "console": make(chan struct{})}
	waiting := func(name string) func(context.Context) error {
		return func(ctx context.Context) error {
			<-ctx.Done()
			close(stopping[name])
			for _, other := range stopping {
				<-other
			}
			return nil
		}
	}
	s.startListeners(waiting("api"), nil, waiting("grpc"), waiting("console"))
	stopped := make(chan error, 1)
	go func() { stopped <- s.parts.Stop() }()
	eventually.Holds(t, "all have ended", func() bool { return len(stopped) > 0 })
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
