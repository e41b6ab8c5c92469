package batch

// Queued returns how many commands wait.
func (q *queue[T]) Queued() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.queued
}

// InFlight returns how many batches are under way.
func (q *queue[T]) InFlight() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.inFlight
}

// Closed reports whether Close has begun.
func (q *queue[T]) Closed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// Masters returns for how many masters there is something.
func (m *masters[B]) Masters() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.held)
}

// Forget makes all masters ones that were asked long ago.
func (m *masters[B]) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, h := range m.held {
		h.asked = h.asked.Add(-2 * idleKept)
	}
}
