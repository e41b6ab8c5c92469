package near

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// testCopies is copies of texts under numbers, with a link.
func testCopies(maxBytes uint64, maxAbsent int) (*copies[int, string], *epochs) {
	e := new(epochs)
	e.link()
	return newCopies(e, maxBytes, maxAbsent, func(int, string) uint32 { return 1 }), e
}

func notEmpty(s string) bool { return s != "" }

// Every order in which the steps of a load and of an invalidation of its key
// can fall.
func TestI3_LoadOvertakenByInvalidationIsNotKept(t *testing.T) {
	f := func(kept bool, steps ...string) {
		t.Helper()
		s, e := testCopies(100, 10)
		var l *load[string]
		for _, step := range steps {
			switch step {
			case "begin":
				var leads bool
				if l, leads = s.begin(1, 0); !leads {
					t.Fatal("somebody else leads")
				}
			case "invalidate":
				s.invalidate(1)
			case "flush":
				e.renew()
				s.flush()
			case "unlink":
				e.unlink()
			case "relink":
				e.unlink()
				e.link()
			case "end":
				s.end(1, l, "a", true, nil)
			case "fail":
				s.end(1, l, "", false, errors.New("away"))
			}
		}
		if _, ok := s.get(1); ok != kept {
			t.Errorf("%v: kept is %v, want %v", steps, ok, kept)
		}
	}
	f(true, "begin", "end")
	f(true, "invalidate", "begin", "end")
	f(false, "begin", "invalidate", "end")
	f(false, "begin", "end", "invalidate")
	f(false, "begin", "flush", "end")
	f(false, "begin", "end", "flush")
	f(false, "begin", "unlink", "end")
	f(false, "begin", "end", "unlink")
	f(false, "begin", "relink", "end")
	f(false, "begin", "end", "relink")
	f(false, "unlink", "begin", "end")
	f(false, "begin", "fail")
}

func TestI3_OvertakenLoadIsNotJoined(t *testing.T) {
	s, _ := testCopies(100, 10)
	first, _ := s.begin(1, 0)
	if joined, leads := s.begin(1, 0); leads || joined != first {
		t.Fatal("a second caller does not join the first one's load")
	}
	s.invalidate(1)
	second, leads := s.begin(1, 0)
	if !leads {
		t.Fatal("a caller that comes after an invalidation joins a load that began before it")
	}
	s.end(1, first, "old", true, nil)
	if _, ok := s.get(1); ok {
		t.Fatal("the overtaken load was kept")
	}
	if _, ok, err := s.wait(t.Context(), first); ok || err != nil {
		t.Fatalf("an overtaken load answered a caller that waited for it: %v, %v", ok, err)
	}
	s.end(1, second, "new", true, nil)
	if got, ok := s.get(1); !ok || got != "new" {
		t.Fatalf("got %q, %v", got, ok)
	}
}

func TestCopies_WaitersShareOneLoad(t *testing.T) {
	s, _ := testCopies(100, 10)
	reads, release := 0, make(chan struct{})
	begun := make(chan struct{}, 1)
	read := func(context.Context, batch.Doer) (string, error) {
		reads++
		begun <- struct{}{}
		<-release
		return "a", nil
	}
	var wg sync.WaitGroup
	wg.Go(func() { _, _, _ = s.fetchOne(t.Context(), 1, 0, true, read, notEmpty) })
	<-begun
	for range 8 {
		l, leads := s.begin(1, 0)
		if leads {
			t.Fatal("a second load began")
		}
		wg.Go(func() {
			if got, ok, err := s.wait(t.Context(), l); got != "a" || !ok || err != nil {
				t.Errorf("got %q, %v, %v", got, ok, err)
			}
		})
	}
	close(release)
	wg.Wait()
	if reads != 1 {
		t.Errorf("%d reads", reads)
	}
}

func TestCopies_FailedLoadTellsOthersNothing(t *testing.T) {
	s, _ := testCopies(100, 10)
	away := errors.New("away")
	if _, _, err := s.fetchOne(t.Context(), 1, 0, true, func(context.Context, batch.Doer) (string, error) { return "", away }, notEmpty); !errors.Is(err, away) {
		t.Fatal(err)
	}
	if s.missing(1, -1) {
		t.Error("I2: a load that failed counts as not found")
	}
	l, _ := s.begin(1, 0)
	waited := make(chan error)
	go func() {
		got, _, err := s.fetchOne(t.Context(), 1, 0, true, func(context.Context, batch.Doer) (string, error) { return "own", nil }, notEmpty)
		if got != "own" {
			err = errors.Join(err, fmt.Errorf("got %q", got))
		}
		waited <- err
	}()
	s.end(1, l, "", false, away)
	if err := <-waited; err != nil {
		t.Error(err)
	}
}

func TestCopies_PanickingReadEndsItsLoad(t *testing.T) {
	s, _ := testCopies(100, 10)
	f := func(fetch func()) {
		t.Helper()
		func() {
			defer func() { _ = recover() }()
			fetch()
		}()
		if _, leads := s.begin(1, 0); !leads {
			t.Fatal("the load never ends")
		}
		s.invalidate(1)
	}
	f(func() {
		_, _, _ = s.fetchOne(t.Context(), 1, 0, true, func(context.Context, batch.Doer) (string, error) { panic("bug") }, notEmpty)
	})
	f(func() {
		_, _ = s.fetch(t.Context(), []int{1, 2}, 0, func(context.Context, batch.Doer, []int) ([]string, error) { panic("bug") }, notEmpty)
	})
}

func TestCopies_FetchReadsEachKeyOnce(t *testing.T) {
	s, _ := testCopies(100, 10)
	var asked [][]int
	read := func(_ context.Context, _ batch.Doer, keys []int) ([]string, error) {
		asked = append(asked, keys)
		values := make([]string, len(keys))
		for i, k := range keys {
			if k != 3 {
				values[i] = fmt.Sprint(k)
			}
		}
		return values, nil
	}
	got, err := s.fetch(t.Context(), []int{1, 2, 3, 2}, 5, read, notEmpty)
	if err != nil || fmt.Sprint(got) != "[1 2  2]" {
		t.Fatalf("got %q, %v", got, err)
	}
	if fmt.Sprint(asked) != "[[1 2 3]]" {
		t.Errorf("asked for %v", asked)
	}
	if v, ok := s.get(2); !ok || v != "2" {
		t.Errorf("2 was not kept: %q, %v", v, ok)
	}
	if _, ok := s.get(3); ok || !s.missing(3, 4) {
		t.Error("3 is not held as missing")
	}
	if s.missing(3, 5) {
		t.Error("3 is held as missing for longer than asked")
	}
}

func TestCopies_FetchOfOthersLoadThatWasOvertakenReadsAgain(t *testing.T) {
	s, _ := testCopies(100, 10)
	l, _ := s.begin(2, 0)
	reads := 0
	got, err := s.fetch(t.Context(), []int{1, 2}, 0, func(_ context.Context, _ batch.Doer, keys []int) ([]string, error) {
		if reads++; reads == 1 { // ours; now the other one's is overtaken
			s.invalidate(2)
			s.end(2, l, "old", true, nil)
		}
		return make([]string, len(keys)), nil
	}, notEmpty)
	if err != nil || reads != 2 || got[1] == "old" {
		t.Errorf("%d reads, got %q, %v", reads, got, err)
	}
}

// Loads, invalidations and reads race. The truth is a counter under a lock;
// after an invalidation that follows a change has been applied, no older value
// may be read from copies.
func TestI3_NoStaleCopyAfterInvalidation(t *testing.T) {
	s, _ := testCopies(1000, 10)
	var mu sync.Mutex
	truth := 0
	read := func(context.Context, batch.Doer) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		runtime.Gosched()
		return fmt.Sprint(truth), nil
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, ok := s.get(1); !ok {
					_, _, _ = s.fetchOne(t.Context(), 1, 0, true, read, notEmpty)
				}
			}
		})
	}
	for i := 1; i <= 3000; i++ {
		mu.Lock()
		truth = i
		mu.Unlock()
		s.invalidate(1)
		if got, ok := s.get(1); ok && got != fmt.Sprint(i) {
			t.Fatalf("a copy of %s is left after %d was written", got, i)
		}
		if got, _, err := s.fetchOne(t.Context(), 1, 0, true, read, notEmpty); err != nil || got != fmt.Sprint(i) {
			t.Fatalf("got %s after %d was written: %v", got, i, err)
		}
	}
	close(stop)
	wg.Wait()
}

func TestNear_MemoryStaysBoundedUnderAScanOfAMillionIDs(t *testing.T) {
	const budget = 8 << 20
	s := newCopies(linkedEpochs(), budget, 1000, weighSession)
	doc := make([]byte, 800)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 1_000_000 {
		id := session.ID(fmt.Sprintf("%019d", i))
		l, _ := s.begin(id, 0)
		if i%2 == 0 {
			s.end(id, l, &session.Stored{Facts: session.Facts{ID: id}, Doc: append([]byte(nil), doc...)}, true, nil)
		} else {
			s.end(id, l, nil, false, nil)
		}
		if i%10_000 == 0 {
			if got := s.held.WeightedSize(); got > budget+budget/8 {
				t.Fatalf("after %d IDs the copies take %d bytes, of %d", i, got, budget)
			}
			if got := s.absent.EstimatedSize(); got > 1100 {
				t.Fatalf("after %d IDs %d unknown ones are held, of 1000", i, got)
			}
		}
	}
	s.held.(interface{ CleanUp() }).CleanUp()
	if got := s.held.WeightedSize(); got > budget || got < budget/2 {
		t.Errorf("the copies take %d bytes, of %d", got, budget)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > budget*3/2 {
		t.Errorf("the heap has grown by %d bytes for a budget of %d", grown, budget)
	}
	for i := range s.stripes {
		if n := len(s.stripes[i].loads); n != 0 {
			t.Fatalf("%d loads are left", n)
		}
	}
	runtime.KeepAlive(s)
}

func linkedEpochs() *epochs {
	e := new(epochs)
	e.link()
	return e
}
