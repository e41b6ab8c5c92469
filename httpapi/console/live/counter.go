package live

import "math"

// counter follows a metric that only rises.
type counter struct {
	total float64
	// last is by how much it rose in the last sample, recent in each of the last ones.
	last   float64
	recent [window]float64
}

// begin says that the samples of these places in recent begin.
func (c *counter) begin(places []int) {
	c.last = 0
	for _, i := range places {
		c.recent[i] = 0
	}
}

// take takes its value, and returns by how much it has risen. One that has fallen was set back to 0 before, as
// Prometheus' rate() has it. What is no number is left out.
func (c *counter) take(value float64, place int) float64 {
	if math.IsNaN(value) || math.IsInf(value, 0) || value < 0 {
		return 0
	}
	rise := value - c.total
	if rise < 0 {
		rise = value
	}
	c.total = value
	c.last += rise
	c.recent[place] += rise
	return rise
}

// inWindow is by how much it has risen in all recent samples.
func (c *counter) inWindow() (sum float64) {
	for _, n := range c.recent {
		sum += n
	}
	return sum
}

// label names a counter among those of a family: the values of its labels.
type label [2]string

// mostCounters bounds how many counters of one family are followed. Labels are ours, so there are fewer.
const mostCounters = 1000

// family is counters that differ in their labels.
type family map[label]*counter

// of returns the counter of a label, nil if there are too many.
func (f family) of(l label) *counter {
	c := f[l]
	if c == nil && len(f) < mostCounters {
		c = new(counter)
		f[l] = c
	}
	return c
}

// take takes the value of a counter, and returns by how much it has risen.
func (f family) take(l label, value float64, place int) float64 {
	if c := f.of(l); c != nil {
		return c.take(value, place)
	}
	return 0
}

func (f family) begin(places []int) {
	for _, c := range f {
		c.begin(places)
	}
}
