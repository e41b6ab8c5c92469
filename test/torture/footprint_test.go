package torture

import (
	"io"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
)

// footprint is what a quiet process takes, and what it has in Redis.
type footprint struct {
	Goroutines float64 `json:"goroutines"`
	FDs        float64 `json:"file_descriptors"`
	Resident   float64 `json:"resident_bytes"`
	Heap       float64 `json:"heap_bytes"`
	Near       float64 `json:"near_bytes"`
	Live       int64   `json:"live"`
}

// footprint measures the process, which has nothing to do.
func (c *sidecar) footprint(t testing.TB) (f footprint) {
	t.Helper()
	var err error
	measured := eventually.Within(patience, func() bool {
		f, err = c.measure()
		return err == nil
	})
	if !measured {
		t.Fatal(err)
	}
	return f
}

// measure is footprint once. On a busy machine the process may be too late to tell.
func (c *sidecar) measure() (f footprint, err error) {
	response, err := c.http.Get("http://" + c.admin + "/debug/pprof/heap?gc=1")
	if err != nil {
		return footprint{}, err
	}
	_, err = io.Copy(io.Discard, response.Body)
	response.Body.Close()
	if err != nil {
		return footprint{}, err
	}
	for _, m := range []struct {
		to    *float64
		names []string
	}{
		{&f.Goroutines, []string{"go_goroutines"}},
		{&f.FDs, []string{"process_open_fds"}},
		{&f.Resident, []string{"process_resident_memory_bytes"}},
		{&f.Heap, []string{"go_memstats_heap_inuse_bytes"}},
		{&f.Near, []string{`cloakroom_near_bytes{kind="session"}`, `cloakroom_near_bytes{kind="list"}`, `cloakroom_near_bytes{kind="token"}`}},
	} {
		for _, name := range m.names {
			n, err := c.metric(name)
			if err != nil {
				return footprint{}, err
			}
			*m.to += n
		}
	}
	return f, nil
}

// atWork returns how many requests the process works on.
func (c *sidecar) atWork() (sum float64, err error) {
	for _, class := range []string{"read", "search", "write"} {
		n, err := c.metric(`cloakroom_in_flight{class="` + class + `"}`)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// peak runs f, and returns the most resident memory that the process had while it did.
func (c *sidecar) peak(t testing.TB, f func()) (bytes float64) {
	t.Helper()
	look := func() bool {
		n, err := c.metric("process_resident_memory_bytes")
		bytes = max(bytes, n)
		return err == nil // it may be late
	}
	var wg sync.WaitGroup
	ended := make(chan struct{})
	wg.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
				look()
			}
		}
	})
	f()
	close(ended)
	wg.Wait() // I7
	if !eventually.Within(patience, look) {
		t.Error("the process does not tell how much memory it has")
	}
	return bytes
}

// rests waits until the process has nothing at work and no more descriptors than before; in the long form also until it has no
// more goroutines, of which fasthttp keeps those of connections for ten seconds.
func (c *sidecar) rests(t testing.TB, before *footprint) {
	t.Helper()
	const slack = 20 // connections to Redis, which it keeps
	var now footprint
	var atWork float64
	var err error
	ok := eventually.Within(patience, func() bool {
		if now, err = c.measure(); err == nil {
			atWork, err = c.atWork()
		}
		return err == nil && atWork == 0 && now.FDs <= before.FDs+slack && (!longForm() || now.Goroutines <= before.Goroutines+slack)
	})
	if !ok {
		t.Errorf("afterwards %v requests are at work, and the process takes %+v (%v); before it took %+v", atWork, now, err, *before)
	}
}
