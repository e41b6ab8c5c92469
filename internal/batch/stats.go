package batch

// Stats is what is known of the round trips of a Batcher, or of all Batchers of
// a Cluster together, since they were made.
type Stats struct {
	// Calls counts the callers whose commands were sent, Trips the round trips
	// that they shared. On a Cluster a call of commands for several masters counts
	// once for each; what is sent again because a slot moves is not counted.
	Calls, Trips uint64
	// Refused counts the callers that were told ErrFull.
	Refused uint64
	// Queued is how many commands wait now.
	Queued int
}

// Plus returns what is known of both.
func (s Stats) Plus(o Stats) Stats {
	return Stats{Calls: s.Calls + o.Calls, Trips: s.Trips + o.Trips, Refused: s.Refused + o.Refused, Queued: s.Queued + o.Queued}
}

// Stats returns what is known of the round trips.
func (q *queue[T]) Stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.sent
	s.Queued = q.queued
	return s
}
