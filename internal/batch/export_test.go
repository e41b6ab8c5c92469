package batch

// Queued returns how many commands wait.
func (b *Batcher) Queued() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.queued
}

// InFlight returns how many batches are under way.
func (b *Batcher) InFlight() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.inFlight
}

// Closed reports whether Close has begun.
func (b *Batcher) Closed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}

// Masters returns how many masters have a Batcher.
func (c *Cluster) Masters() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.masters)
}

// Forget makes all masters ones that were asked long ago.
func (c *Cluster) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.masters {
		l.asked = l.asked.Add(-2 * idleKept)
	}
}
