package storetest_test

import (
	"context"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
	"pgregory.net/rapid"
)

func TestModel(t *testing.T) {
	storetest.Run(t, func(_ *testing.T, l storetest.Limits) (storetest.Store, func(time.Duration)) {
		clock := storetest.NewClock()
		return storetest.NewModel(clock.Now, l), clock.Advance
	})
}

// The property test itself is tested: it passes on a second model.
func TestProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clock := storetest.NewClock()
		storetest.Property(t, storetest.Subject{
			Store:   storetest.NewModel(clock.Now, storetest.Limits{}),
			Clock:   clock,
			Sweep:   func(context.Context) error { return nil },
			Audit:   func(rapid.TB, []*session.Stored, bool) {},
			Initial: rapid.SampledFrom([]int{0, 300}).Draw(t, "sessions"),
		})
	})
}

func TestChurn(t *testing.T) {
	clock := storetest.NewClock()
	storetest.Churn(t, storetest.Subject{
		Store: storetest.NewModel(clock.Now, storetest.Limits{}),
		Clock: clock,
		Sweep: func(context.Context) error { return nil },
	}, 500)
}
