package deletions

import (
	"container/list"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// Ends holds the ends that this process remembers: its own, and those that it has read. A
// failover, or a restored snapshot, may take one away; it is still remembered here, and
// refuses the same tokens, until Run has written it again. (I4)
//
// An end is remembered for TombstoneFor, and no longer than it is kept. The number of ends is bounded; the oldest go
// first. All are forgotten when the process ends. It is safe for concurrent use; nil
// remembers nothing.
type Ends struct {
	count atomic.Int64 // no lock is taken while there are none
	most  int
	mu    sync.Mutex
	of    map[session.EndName]rememberedEnd
	order *list.List // of the names, those that were noted longest ago first
	// again has the ends that are to be written again; Run does.
	again chan session.EndName
}

// rememberedEnd is an end, and until when it is remembered.
type rememberedEnd struct {
	session.End
	forget session.Time
	at     *list.Element
}

// NewEnds returns Ends for up to most, or nil, which remembers nothing, if most is not
// above 0.
func NewEnds(most int) *Ends {
	if most <= 0 {
		return nil
	}
	return &Ends{most: most, of: map[session.EndName]rememberedEnd{}, order: list.New(), again: make(chan session.EndName, queueSize)}
}

// Over returns what Redis has answered about an end, and what is remembered of it, together. It
// remembers what Redis has answered, and has Run write again what that lacked.
func (r *Ends) Over(name session.EndName, read session.End, now session.Time) session.End {
	if r == nil || read.NotAfter == 0 && r.count.Load() == 0 {
		return read
	}
	r.mu.Lock()
	have := r.of[name]
	r.mu.Unlock()
	if have.forget <= now {
		have = rememberedEnd{}
	}
	end := read.Over(have.End)
	switch {
	case end != read:
		r.queue(name)
	case read.NotAfter != 0 && end != have.End:
		r.Add(name, read, now)
	}
	return end
}

// Add remembers an end.
func (r *Ends) Add(name session.EndName, e session.End, now session.Time) {
	if r == nil || e.Until <= now {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	have, ok := r.of[name]
	if ok {
		r.order.MoveToBack(have.at)
	} else {
		if r.order.Len() >= r.most {
			r.drop()
		}
		name = session.EndName(strings.Clone(string(name)))
		have.at = r.order.PushBack(name)
		r.count.Add(1)
	}
	e = have.Over(e)
	r.of[name] = rememberedEnd{e, min(now.Add(TombstoneFor), e.Until), have.at}
}

// drop forgets the oldest end. The lock is held.
func (r *Ends) drop() {
	delete(r.of, r.order.Remove(r.order.Front()).(session.EndName))
	r.count.Add(-1)
}

// expire forgets the ends whose time is over: from the oldest on, until one that is not.
func (r *Ends) expire(now session.Time) {
	if r == nil || r.count.Load() == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.order.Len() > 0 && r.of[r.order.Front().Value.(session.EndName)].forget <= now {
		r.drop()
	}
}

// queue hands an end to Run, which writes it again. Where the queue is full it comes
// when it is read again.
func (r *Ends) queue(name session.EndName) {
	if r == nil {
		return
	}
	select {
	case r.again <- session.EndName(strings.Clone(string(name))):
	default:
	}
}

// lost is the queue of ends that Redis has lost; nil, which nothing comes from, if none are remembered.
func (r *Ends) lost() <-chan session.EndName {
	if r == nil {
		return nil
	}
	return r.again
}

// get returns what is remembered of an end.
func (r *Ends) get(name session.EndName, now session.Time) (e session.End, ok bool) {
	if r == nil {
		return e, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	have, ok := r.of[name]
	return have.End, ok && have.forget > now
}

// names returns the names of all ends that are remembered.
func (r *Ends) names() []session.EndName {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.of))
}

// Len is how many ends are remembered now.
func (r *Ends) Len() int {
	if r == nil {
		return 0
	}
	return int(r.count.Load())
}
