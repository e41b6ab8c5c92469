package server

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Budget is places for requests at work. No request queues for one: one that finds none
// is to be answered at once. A nil *Budget has any number. It is safe for
// concurrent use, once its fields are set.
type Budget struct {
	// Limit is how many places there are.
	Limit int64
	// Shed counts requests that found none; nil counts nothing.
	Shed prometheus.Counter

	atWork atomic.Int64 // for an instant more than limit
}

// AtWork is how many places are taken.
func (b *Budget) AtWork() int64 { return min(b.atWork.Load(), b.Limit) }

// Enter takes a place, or says that there is none. A request that has taken one must
// leave.
func (b *Budget) Enter() bool {
	if b == nil {
		return true
	}
	if b.atWork.Add(1) <= b.Limit {
		return true
	}
	b.atWork.Add(-1)
	if b.Shed != nil {
		b.Shed.Inc()
	}
	return false
}

// Leave gives a place back.
func (b *Budget) Leave() {
	if b != nil {
		b.atWork.Add(-1)
	}
}
