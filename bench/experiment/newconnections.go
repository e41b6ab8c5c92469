package experiment

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/cloakroom-dev/cloakroom/bench/load"
	"github.com/cloakroom-dev/cloakroom/bench/result"
	"github.com/cloakroom-dev/cloakroom/bench/scenario"
	"github.com/cloakroom-dev/cloakroom/bench/source"
	"golang.org/x/time/rate"
)

// newConnections measures requests at --rate over connections that are kept, alone and
// beside --flood connections a second that are made for one request each, as some
// gateways do. At most --workers of these exist at a time.
type newConnections struct {
	source *source.Source
	flags  *Flags

	mu       sync.Mutex
	took     *hdrhistogram.Histogram // from the dialling to the answer
	failed   int
	firstErr string
}

func (n *newConnections) ownLoad() {}

func (n *newConnections) run(ctx context.Context, seconds float64, run *result.Run) error {
	n.took = result.NewHistogram()
	sc, err := scenario.New(n.flags.background, n.source.Config)
	if err != nil {
		return err
	}
	err = beside(ctx, n.source, n.flags.background, seconds, run, func(seed uint64) error {
		return n.once(ctx, sc, seconds, seed)
	})
	if err != nil {
		return err
	}
	d, err := result.NewDistribution(n.took)
	if err != nil {
		return err
	}
	run.Errors += uint64(n.failed)
	if run.FirstError == "" {
		run.FirstError = n.firstErr
	}
	run.Figures["new_connections_due_per_s"], run.Figures["new_connections_answered_per_s"] = n.flags.flood, float64(d.Count)/(seconds*besidePairs)
	run.Figures["new_connections_failed"] = float64(n.failed)
	run.Figures["new_connection_p50_ms"], run.Figures["new_connection_p99_ms"] = d.P50/1000, d.P99/1000
	return nil
}

// once makes connections for so many seconds.
func (n *newConnections) once(ctx context.Context, sc load.Scenario, seconds float64, seed uint64) error {
	ctx, cancel := context.WithTimeout(ctx, source.Duration(seconds))
	defer cancel()
	due := rate.NewLimiter(rate.Limit(n.flags.flood), 1)
	var workers sync.WaitGroup
	for w := range n.flags.workers {
		client := sc.Client(w, load.NewRand(seed, uint64(1000+w))) // not what the kept connections send
		workers.Go(func() {
			for due.Wait(ctx) == nil {
				n.note(n.ask(ctx, client))
			}
		})
	}
	workers.Wait()
	return nil
}

// ask makes a connection, and one request.
func (n *newConnections) ask(ctx context.Context, client load.Client) (time.Duration, error) {
	request, want := client.Next(nil)
	begin := time.Now()
	a, err := load.Fetch(context.WithoutCancel(ctx), n.source.Target, request)
	took := time.Since(begin)
	switch {
	case err != nil:
		client.Lost()
		return 0, err
	case a.Status != want:
		client.Lost()
		return 0, fmt.Errorf("status %d, not %d: %.200s", a.Status, want, a.Body)
	}
	return took, client.Check(a)
}

func (n *newConnections) note(took time.Duration, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case err == nil:
		record(n.took, took)
	case errors.Is(err, context.Canceled):
	default:
		n.failed++
		if n.firstErr == "" {
			n.firstErr = err.Error()
		}
	}
}
