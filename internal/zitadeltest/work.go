package zitadeltest

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// workers work on calls: each on one at a time, first come, first served. They are only a list of when each will be free: so the
// rate at which calls are done is that of Work, however late timers are.
type workers struct {
	mu   sync.Mutex
	free []time.Time
}

// do waits until a call has been worked on, or returns ctx's error.
func (w *workers) do(ctx context.Context, settings Settings, call string) error {
	work := settings.Work[call]
	if work == nil {
		work = settings.Work[Any]
	}
	if work == nil {
		return nil
	}
	return wait(ctx, time.Until(w.take(max(settings.Workers, 1), work())))
}

// take gives the worker of n who is free first this much work, and returns when it is done.
func (w *workers) take(n int, work time.Duration) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.free) != n {
		w.free = make([]time.Time, n)
	}
	first := 0
	for i := range w.free {
		if w.free[i].Before(w.free[first]) {
			first = i
		}
	}
	begin := time.Now()
	if w.free[first].After(begin) {
		begin = w.free[first]
	}
	w.free[first] = begin.Add(work)
	return w.free[first]
}

// Speed is how fast a ZITADEL is: calls a second while it has nothing else to do.
type Speed struct {
	// Workers is how many calls it works on at the same time.
	Workers int
	// Rates are by call; Any stands for those that are not named. A call without a rate takes no time.
	Rates map[string]float64
	// ListLag is how late its lists are, and EventDelay its events.
	ListLag, EventDelay time.Duration
}

// Measured is how fast a real ZITADEL was with PostgreSQL on two cores, over 16 connections: ListSessions 305–484 a second with a p50
// of 31–48 ms, GetSession 174–187 with 80–89 ms, CreateSession 116–179 with 81–128 ms. The rates are the geometric means. SetSession
// and DeleteSession were not measured, nor was anything else: they count as a CreateSession, which is another write. How
// many calls it worked on at the same time was not seen; two are as many as there were cores.
func Measured() Speed {
	return Speed{
		Workers: 2, Rates: map[string]float64{ListSessions: 384, GetSession: 180, CreateSession: 144, Any: 144},
		ListLag: 32 * time.Millisecond, EventDelay: 500 * time.Millisecond,
	}
}

// longestWork is by how much work on a call may exceed the mean.
const longestWork = 8

// Apply makes settings as slow as this. Work on a call takes a random time, exponentially distributed: over 16 connections the
// median of the latencies is then as far below their mean as was measured.
func (speed Speed) Apply(settings *Settings) {
	settings.Workers, settings.Work = speed.Workers, map[string]func() time.Duration{}
	for call, rate := range speed.Rates {
		if rate <= 0 {
			settings.Work[call] = func() time.Duration { return 0 }
			continue
		}
		mean := float64(max(speed.Workers, 1)) / rate * float64(time.Second)
		settings.Work[call] = func() time.Duration { return time.Duration(min(rand.ExpFloat64(), longestWork) * mean) }
	}
	settings.ListLag, settings.EventDelay = speed.ListLag, speed.EventDelay
}
