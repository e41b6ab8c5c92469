package upstream_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/upstream"
)

// Calls that are handed on for others leave a quarter of the places and of the queue to what we ask ourselves.
func TestCall_OthersLeavePlacesToUs(t *testing.T) {
	t.Parallel()
	handler, let := hold(t, answered("{}"))
	s := serve(t, handler)
	c := ask(t, s.URL, func(c *upstream.Config) { c.Concurrency, c.Queue = 4, 4 })
	var group sync.WaitGroup
	defer group.Wait()
	defer let()
	call := func(n int, as upstream.Authorization) {
		q := write()
		q.As = as
		for range n {
			group.Go(func() {
				if _, err := c.Call(t.Context(), q); err != nil {
					t.Error(err)
				}
			})
		}
	}
	holds := func(underWay, queued int) {
		t.Helper()
		eventually.Holds(t, "these calls", func() bool {
			return len(s.requests("")) == underWay && c.gauge(t, "cloakroom_upstream_in_flight") == float64(underWay) && c.gauge(t, "cloakroom_upstream_queued") == float64(queued)
		})
	}
	refused := func(as upstream.Authorization) {
		t.Helper()
		q := write()
		q.As = as
		soon, cancel := context.WithTimeout(t.Context(), time.Second) // else it waits
		defer cancel()
		if _, err := c.Call(soon, q); !errors.Is(err, upstream.ErrBusy) {
			t.Errorf("one more: %v", err)
		}
	}
	call(6, upstream.As("Bearer garbage"))
	holds(3, 3)
	refused(upstream.As("Bearer garbage"))
	call(1, upstream.AsOurs())
	holds(4, 3)
	call(1, upstream.AsOurs())
	holds(4, 4)
	refused(upstream.AsOurs())
	let()
	group.Wait()
	made := len(s.requests(""))
	if made != 8 || c.gauge(t, "cloakroom_upstream_queued") != 0 || c.gauge(t, "cloakroom_upstream_in_flight") != 0 {
		t.Errorf("%d calls were made, want 8, and none left", made)
	}
}

// The only place, and the only one in the queue, is shared.
func TestCall_OthersMayTakeTheOnlyPlace(t *testing.T) {
	t.Parallel()
	handler, let := hold(t, answered("{}"))
	s := serve(t, handler)
	c := ask(t, s.URL, func(c *upstream.Config) { c.Concurrency, c.Queue = 1, 1 })
	var group sync.WaitGroup
	defer group.Wait()
	defer let()
	for range 2 {
		group.Go(func() {
			if _, err := c.Call(t.Context(), write()); err != nil {
				t.Error(err)
			}
		})
	}
	eventually.Holds(t, "a call under way and one that waits", func() bool {
		return len(s.requests("")) == 1 && c.gauge(t, "cloakroom_upstream_queued") == 1
	})
}
