package batch

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// idleKept is how long what there is for a master stays that nobody asks.
const idleKept = time.Minute

// masters has a B, a Batcher or Reads, for each master of a Cluster.
type masters[B perMaster] struct {
	open func(master *redis.Client) B

	mu     sync.Mutex
	held   map[*redis.Client]*heldMaster[B] // by the client of the master
	closed bool
	gone   Stats // of those that are no more
}

type perMaster interface {
	retire() bool
	Stats() Stats
	Close()
}

// heldMaster is what there is for one master, and when it was asked for last.
type heldMaster[B perMaster] struct {
	it    B
	asked time.Time
}

func newMasters[B perMaster](open func(master *redis.Client) B) masters[B] {
	return masters[B]{open: open, held: make(map[*redis.Client]*heldMaster[B])}
}

// at returns what there is for a master. m.mu is held.
func (m *masters[B]) at(master *redis.Client, now time.Time) (it B, err error) {
	if m.closed {
		return it, ErrClosed
	}
	h := m.held[master]
	if h == nil {
		m.drop(now)
		h = &heldMaster[B]{it: m.open(master)}
		m.held[master] = h
	}
	h.asked = now
	return h.it, nil
}

// drop takes away what there is for masters that are gone: those are asked no
// more, and have nothing under way. A caller that was given it a moment ago still
// counts on it, so that one which is merely idle has to stay. m.mu is held.
func (m *masters[B]) drop(now time.Time) {
	maps.DeleteFunc(m.held, func(_ *redis.Client, h *heldMaster[B]) bool {
		if now.Sub(h.asked) <= idleKept || !h.it.retire() {
			return false
		}
		m.gone = m.gone.Plus(h.it.Stats())
		return true
	})
}

// Stats is as Batcher.Stats, for all masters. Counts of masters that are gone stay.
func (m *masters[B]) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.gone
	for _, h := range m.held {
		s = s.Plus(h.it.Stats())
	}
	return s
}

// Close is as Batcher.Close, for all masters.
func (m *masters[B]) Close() {
	m.mu.Lock()
	m.closed = true
	all := slices.Collect(maps.Values(m.held))
	m.mu.Unlock()
	for _, h := range all {
		h.it.Close()
	}
}

// find adds to to, which is empty, what there is for each of the masters.
func find[B perMaster](m *masters[B], to []B, masters []*redis.Client) ([]B, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for _, master := range masters {
		it, err := m.at(master, now)
		if err != nil {
			return nil, err
		}
		to = append(to, it)
	}
	return to, nil
}
