package main

import "time"

// checkShutdown makes sure that time is left after the delay.
func checkShutdown(c *config, wrong *faults) {
	if c.good("shutdown-delay", "shutdown-timeout") && c.shutdownDelay > 0 && c.shutdownDelay >= c.shutdownTimeout {
		wrong.addf("--shutdown-delay (%v) must be below --shutdown-timeout (%v), which is for all of the shutdown", c.shutdownDelay, c.shutdownTimeout)
	}
}

// afterwards is how much of --shutdown-timeout is kept for what ends after the
// requests: the background work, the connections to Redis, the admin listener.
func (c *config) afterwards() time.Duration {
	return min((c.shutdownTimeout-c.shutdownDelay)/10, time.Second)
}

// drainTime is how long requests under way may take at the end.
func (c *config) drainTime() time.Duration {
	return c.shutdownTimeout - c.shutdownDelay - c.afterwards()
}
