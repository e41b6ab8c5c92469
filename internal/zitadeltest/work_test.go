package zitadeltest

import (
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Over 16 connections the double is as fast and as slow as a real ZITADEL was: the clock is synctest's, so nothing else counts.
func TestMeasured_IsWhatWasMeasured(t *testing.T) {
	for call, want := range map[string]struct{ lowRate, highRate, lowP50, highP50 float64 }{
		ListSessions:  {305, 484, 31, 48},
		GetSession:    {174, 187, 80, 89},
		CreateSession: {116, 179, 81, 128},
	} {
		rate, p50 := loadedBy(t, 16, call)
		if rate < want.lowRate || rate > want.highRate || p50 < want.lowP50 || p50 > want.highP50 {
			t.Errorf("%s: %.0f a second with a p50 of %.1f ms, want %.0f–%.0f and %.0f–%.0f ms", call, rate, p50, want.lowRate, want.highRate, want.lowP50, want.highP50)
		}
		// The median was at 0.91 to 0.97 of the mean, which is callers by rate.
		if share := p50 / (16 / rate * 1000); share < 0.9 || share > 0.98 {
			t.Errorf("%s: the median is %.3f of the mean", call, share)
		}
	}
	rate, p50 := loadedBy(t, 1, GetSession)
	if rate > 95 || p50 > 12 {
		t.Errorf("one caller: %.0f a second with a p50 of %.1f ms: it does not have a worker of two for itself", rate, p50)
	}
}

// loadedBy is how many calls a second are done, and the median of their latencies in ms, with so many callers.
func loadedBy(t *testing.T, callers int, call string) (rate, p50 float64) {
	const long = 5 * time.Minute
	var settings Settings
	Measured().Apply(&settings)
	synctest.Test(t, func(t *testing.T) {
		var w workers
		var mu sync.Mutex
		var all []time.Duration
		var calling sync.WaitGroup
		begin := time.Now()
		for range callers {
			calling.Go(func() {
				for time.Since(begin) < long {
					sent := time.Now()
					if err := w.do(t.Context(), settings, call); err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					all = append(all, time.Since(sent))
					mu.Unlock()
				}
			})
		}
		calling.Wait()
		slices.Sort(all)
		rate, p50 = float64(len(all))/time.Since(begin).Seconds(), all[len(all)/2].Seconds()*1000
	})
	return rate, p50
}

// Each request is worked on, as its call is or as those that have no name.
func TestWork_IsDoneForEachRequest(t *testing.T) {
	s := Start(t)
	done := map[string]int{} // read when all is answered
	work := func(name string) func() time.Duration {
		return func() time.Duration { done[name]++; return 0 }
	}
	s.Change(func(settings *Settings) {
		settings.Work = map[string]func() time.Duration{GetSession: work(GetSession), Any: work(Any)}
	})
	for _, path := range []string{"/v2/sessions/1", "/v2/sessions/2", "/oauth/v2/token"} {
		answer, err := http.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
	}
	s.Stop()
	http.DefaultClient.CloseIdleConnections()
	if done[GetSession] != 2 || done[Any] != 1 {
		t.Errorf("%v", done)
	}
}

// Without a test it is a server that answers, and what only tests may ask for says so.
func TestNew_WithoutATest(t *testing.T) {
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if seen := s.See(s.Admin.Token, "1", ""); seen.Status != 404 {
		t.Errorf("%+v", seen)
	}
	if _, err := New(Config{Addr: s.URL[len("http://"):]}); err == nil {
		t.Error("two listen at one address")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a restart without a test")
		}
	}()
	s.Restart()
}
