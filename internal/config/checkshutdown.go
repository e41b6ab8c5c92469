package config

import (
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/usage"
)

// checkShutdown makes sure that time is left after the delay.
func checkShutdown(c *Config, wrong *usage.Faults) {
	if c.good("shutdown-delay", "shutdown-timeout") && c.ShutdownDelay > 0 && c.ShutdownDelay >= c.ShutdownTimeout {
		wrong.Addf("--shutdown-delay (%v) must be below --shutdown-timeout (%v), which is for all of the shutdown", c.ShutdownDelay, c.ShutdownTimeout)
	}
}

// Afterwards is how much of --shutdown-timeout is kept for what ends after the
// requests: the background work, the connections to Redis, the admin listener.
func (c *Config) Afterwards() time.Duration {
	return min((c.ShutdownTimeout-c.ShutdownDelay)/10, time.Second)
}

// DrainTime is how long requests under way may take at the end.
func (c *Config) DrainTime() time.Duration {
	return c.ShutdownTimeout - c.ShutdownDelay - c.Afterwards()
}
