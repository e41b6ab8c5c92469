package experiment

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/cloakroom-dev/cloakroom/bench/load"
	"github.com/cloakroom-dev/cloakroom/bench/result"
	"github.com/cloakroom-dev/cloakroom/bench/scenario"
	"github.com/cloakroom-dev/cloakroom/bench/source"
)

const (
	// refusedWithin is after how long a session that is still served counts as wrong.
	refusedWithin = 10 * time.Second
	logoutUser    = "9184809" // begins the IDs of its users
)

// logout deletes sessions in one process, and asks another one, which has
// just served the session, until it refuses. The time is that from the answer to
// the delete until the answer that refuses, so it is at least a round trip.
type logout struct {
	source *source.Source
	flags  *Flags
	other  load.Endpoint
}

func (w *logout) run(ctx context.Context, seconds float64, run *result.Run) error {
	refused, deleted := result.NewHistogram(), result.NewHistogram()
	begin := time.Now()
	var mu sync.Mutex
	var workers sync.WaitGroup
	var failed error
	for n := range w.flags.workers {
		workers.Go(func() {
			err := w.work(ctx, n, begin.Add(source.Duration(seconds)), func(polls uint64, del, until time.Duration) {
				mu.Lock()
				defer mu.Unlock()
				run.Due += polls + 1
				run.Answered += polls + 1
				_ = deleted.RecordValue(int64(min(del, result.Longest)))
				_ = refused.RecordValue(int64(min(until, result.Longest)))
				if until >= refusedWithin {
					run.Wrong++
					run.FirstError = fmt.Sprintf("a session was served %v after its end", until)
				}
			})
			mu.Lock()
			defer mu.Unlock()
			failed = cmp.Or(failed, err)
		})
	}
	workers.Wait()
	run.Seconds = time.Since(begin).Seconds()
	if ctx.Err() != nil {
		run.Invalid = "interrupted"
	} else if failed != nil {
		return failed
	}
	return fillRun(run, refused, deleted, "revocation", "delete")
}

// fillRun takes a run's latency and service from two histograms, and figures of them.
func fillRun(r *result.Run, latency, service *hdrhistogram.Histogram, latencyName, serviceName string) error {
	var err error
	if r.Latency, err = result.NewDistribution(latency); err != nil {
		return err
	}
	if r.Service, err = result.NewDistribution(service); err != nil {
		return err
	}
	if r.Seconds > 0 {
		r.Achieved = float64(r.Answered) / r.Seconds
	}
	for name, d := range map[string]*result.Distribution{latencyName: &r.Latency, serviceName: &r.Service} {
		r.Figures[name+"_count"] = float64(d.Count)
		r.Figures[name+"_p50_ms"] = d.P50 / 1000
		r.Figures[name+"_p99_ms"] = d.P99 / 1000
		r.Figures[name+"_max_ms"] = d.Max / 1000
	}
	return nil
}

// work creates, gets, deletes and polls until the end.
func (w *logout) work(ctx context.Context, n int, end time.Time, done func(polls uint64, deleted, refused time.Duration)) error {
	here, err := scenario.NewCaller(ctx, w.source.Target, w.source.Config)
	if err != nil {
		return err
	}
	defer here.Close()
	there, err := scenario.NewCaller(ctx, w.other, w.source.Config)
	if err != nil {
		return err
	}
	defer there.Close()
	for i := 0; time.Now().Before(end) && ctx.Err() == nil; i++ {
		a, err := here.Call("POST", "/v2/sessions", fmt.Sprintf(`{"checks":{"user":{"userId":"%s%05d%06d"}},"lifetime":"3600s"}`, logoutUser, n, i))
		if err != nil {
			return err
		}
		id, _, err := scenario.CreatedSession(a.Body)
		if err != nil {
			return fmt.Errorf("create: status %d: %w", a.Status, err)
		}
		path := "/v2/sessions/" + string(id)
		for range 2 { // the second is from the near cache
			if a, err = there.Call("GET", path, ""); err != nil {
				return err
			}
			if a.Status != 200 {
				return fmt.Errorf("a new session is not served: status %d: %.200s", a.Status, a.Body)
			}
		}
		sent := time.Now()
		if a, err = here.Call("DELETE", path, "{}"); err != nil {
			return err
		}
		if a.Status != 200 {
			return fmt.Errorf("delete: status %d: %.200s", a.Status, a.Body)
		}
		deleted := time.Now()
		for polls := uint64(1); ; polls++ {
			if a, err = there.Call("GET", path, ""); err != nil {
				return err
			}
			since := time.Since(deleted)
			if a.Status == 200 && since < refusedWithin {
				continue
			}
			if a.Status != 404 && a.Status != 200 {
				return fmt.Errorf("get after delete: status %d: %.200s", a.Status, a.Body)
			}
			done(polls, deleted.Sub(sent), since)
			break
		}
	}
	return nil
}
