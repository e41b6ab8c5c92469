package fairrate

import (
	"container/list"
	"net/netip"
)

// queue is who waits: the line has the queues of wide networks in it, each of these has those of its clients, and a client's
// has its waiters. Who is next is first in each.
type queue struct {
	name    netip.Prefix
	above   *queue        // nil for the line
	place   *list.Element // in above; nil while nobody waits
	members list.List     // of *queue that somebody waits in, or *waiter
	byName  map[netip.Prefix]*queue
	waiting int // waiters, in all
}

// waiter is a caller of Take in line.
type waiter struct {
	of     *queue        // its client's; nil when it is out of the line
	place  *list.Element // in of
	served chan struct{}
	err    error // may be read when served is closed
}

func (w *waiter) end(err error) {
	w.err = err
	close(w.served)
}

func newLine() *queue { return &queue{byName: map[netip.Prefix]*queue{}} }

// wideV4 and wideV6 are the bits of a network that has its turns together: who has as many addresses as he likes has them
// in one.
const wideV4, wideV6 = 24, 48

func wide(client netip.Prefix) netip.Prefix {
	bits := wideV6
	if client.Addr().Is4() {
		bits = wideV4
	}
	return netip.PrefixFrom(client.Addr(), min(client.Bits(), bits)).Masked()
}

// of returns the queue of a client. If nobody comes to wait in it, it must be pruned.
func (q *queue) of(client netip.Prefix) *queue {
	return q.inner(wide(client), true).inner(client, false)
}

func (q *queue) inner(name netip.Prefix, hasQueues bool) *queue {
	inner := q.byName[name]
	if inner == nil {
		inner = &queue{name: name, above: q}
		if hasQueues {
			inner.byName = map[netip.Prefix]*queue{}
		}
		q.byName[name] = inner
	}
	return inner
}

// add adds a waiter to a client's queue.
func (q *queue) add() *waiter {
	w := &waiter{of: q, served: make(chan struct{})}
	w.place = q.members.PushBack(w)
	for ; q != nil; q = q.above {
		q.waiting++
		if q.place == nil && q.above != nil {
			q.place = q.above.members.PushBack(q)
		}
	}
	return w
}

// remove takes a waiter out of the line.
func (q *queue) remove(w *waiter) {
	of := w.of
	of.members.Remove(w.place)
	w.of = nil
	for inner := of; inner != nil; inner = inner.above {
		inner.waiting--
	}
	of.prune()
}

// prune removes a queue that nobody waits in, and that above it if so.
func (q *queue) prune() {
	for ; q.above != nil && q.waiting == 0; q = q.above {
		if q.place != nil {
			q.above.members.Remove(q.place)
			q.place = nil
		}
		delete(q.above.byName, q.name)
	}
}

// next takes the next one out of the line. Its network, and in that its client, is the last to have a turn again.
func (q *queue) next() *waiter {
	inner := q
	for inner.byName != nil {
		first := inner.members.Front()
		inner.members.MoveToBack(first)
		inner = first.Value.(*queue)
	}
	w := inner.members.Front().Value.(*waiter)
	q.remove(w)
	return w
}

// longest returns the queue in q in which most wait.
func (q *queue) longest() (most *queue) {
	for e := q.members.Front(); e != nil; e = e.Next() {
		if inner := e.Value.(*queue); most == nil || inner.waiting > most.waiting {
			most = inner
		}
	}
	return most
}
