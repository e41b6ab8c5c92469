package httpapi

import (
	"fmt"
	"sync"

	"github.com/cloakroom-dev/cloakroom/cache"
)

// headerReplicas says how many replicas have acknowledged a deletion, of how
// many that were waited for: "1/2". It is there only if any were. The deletion
// has happened whatever it says; a failover may undo one with too few.
const headerReplicas = "Session-Replicas"

// acknowledged says in the answer how many replicas have a deletion.
func (c *call) acknowledged(a cache.Acknowledged) {
	if a.Wanted > 0 {
		c.http.Response.Header.Set(headerReplicas, fmt.Sprintf("%d/%d", a.Replicas, a.Wanted))
	}
}

// acknowledgements is what replicas have acknowledged of several deletions. It
// is safe for concurrent use.
type acknowledgements struct {
	mu     sync.Mutex
	least  cache.Acknowledged // of the deletion that fewest have
	fewer  uint64             // deletions that fewer have than were waited for
	counts bool               // there was a deletion
}

func (a *acknowledgements) add(one cache.Acknowledged) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.counts || one.Replicas < a.least.Replicas {
		a.least, a.counts = one, true
	}
	if one.Fewer() {
		a.fewer++
	}
}

// sum returns what add was told.
func (a *acknowledgements) sum() (least cache.Acknowledged, fewer uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.least, a.fewer
}
