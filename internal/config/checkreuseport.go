package config

import (
	"runtime"
	"strings"

	"github.com/cloakroom-dev/cloakroom/internal/usage"
)

// checkReusePort makes sure that two processes can share what they listen on and
// what they answer from.
func checkReusePort(c *Config, wrong *usage.Faults) {
	if !c.Listen.ReusePort || !c.good("reuse-port", "redis-url") {
		return
	}
	for _, l := range c.Listen.Shared() {
		switch {
		case c.Listen.Inherited[l.Setting] != nil:
			c.Warnings = append(c.Warnings, "--reuse-port changes nothing for --"+l.Setting+", which the service manager has opened")
		case strings.HasPrefix(l.Addr, "unix:"):
			wrong.Addf("--reuse-port shares ports, and --%s is %s: for a unix socket use a .socket of systemd (docs/deployment.md)", l.Setting, l.Addr)
		}
	}
	switch {
	case runtime.GOOS != "linux":
		wrong.Addf("--reuse-port needs Linux")
	case c.RedisURL.Memory || c.RedisURL.Embedded:
		wrong.Addf("--reuse-port needs a Redis that both processes can reach, not %s", c.RedisURL.Masked)
	}
}
