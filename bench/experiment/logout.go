package experiment

import (
	"context"
	"fmt"
	"sync"
	"time"

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

// logout ends logins in one process, and asks another one, which has
// just served the login, until it refuses. The time is that from the answer to
// the end until the answer that refuses, so it is at least a round trip.
type logout struct {
	source *source.Source
	flags  *Flags
	logins logins
	other  load.Endpoint
}

func (w *logout) run(ctx context.Context, seconds float64, run *result.Run) error {
	refused, deleted := result.NewHistogram(), result.NewHistogram()
	begin := time.Now()
	var mu sync.Mutex
	err := together(ctx, run, begin, w.flags.workers, func(n int) error {
		return w.work(ctx, n, begin.Add(source.Duration(seconds)), func(polls uint64, del, until time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			run.Due += polls + 1
			run.Answered += polls + 1
			record(deleted, del)
			record(refused, until)
			if until >= refusedWithin {
				run.Wrong++
				run.FirstError = fmt.Sprintf("a login was served %v after its end", until)
			}
		})
	})
	if err != nil {
		return err
	}
	return fillRun(run, refused, deleted, "revocation", endName(w.source))
}

// endName is what the figures of the requests that end logins are called.
func endName(s *source.Source) string {
	if byJWT(s.Flags.Scenario) {
		return "logout"
	}
	return "delete"
}

// work logs in, asks, logs out and asks until the end.
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
		login, err := w.logins.logIn(here, n, i)
		if err != nil {
			return err
		}
		for range 2 { // the second is from the near cache
			a, err := login.look(there)
			if err != nil {
				return err
			}
			if a.Status != 200 {
				return fmt.Errorf("a new login is not served: status %d: %.200s", a.Status, a.Body)
			}
		}
		deleted, took, err := login.end()
		if err != nil {
			return err
		}
		for polls := uint64(1); ; polls++ {
			a, err := login.look(there)
			if err != nil {
				return err
			}
			since := time.Since(deleted)
			if a.Status == 200 && since < refusedWithin {
				continue
			}
			if a.Status != login.gone && a.Status != 200 {
				return fmt.Errorf("after the end: status %d: %.200s", a.Status, a.Body)
			}
			done(polls, took, since)
			break
		}
	}
	return nil
}
