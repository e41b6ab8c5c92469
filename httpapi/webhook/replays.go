package webhook

import "sync"

// maxRemembered is how many deliveries are remembered. One can be repeated for at most twice the tolerance, in which a worker of
// ZITADEL's, at ten events a second, sends 6,000. What is forgotten sooner is applied once more, which changes nothing.
const maxRemembered = 1 << 14

// replays remembers deliveries by name, the last maxRemembered of them. The zero value is ready. It is safe for concurrent use.
type replays struct {
	mu    sync.Mutex
	names map[sum]struct{}
	order []sum
	next  int // the oldest, once all room is used
}

// What became of a delivery.
const (
	taken = iota
	seenBefore
	notTaken
)

// once has take take a delivery, unless it was taken before. One that was not may come again.
func (r *replays) once(name sum, take func() bool) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, seen := r.names[name]; seen {
		return seenBefore
	}
	if !take() {
		return notTaken
	}
	if r.names == nil {
		r.names = map[sum]struct{}{}
	}
	if len(r.order) < maxRemembered {
		r.order = append(r.order, name)
	} else {
		delete(r.names, r.order[r.next])
		r.order[r.next] = name
		r.next = (r.next + 1) % maxRemembered
	}
	r.names[name] = struct{}{}
	return taken
}
