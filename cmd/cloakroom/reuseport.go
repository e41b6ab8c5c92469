package main

import (
	"runtime"
	"strings"
)

// checkReusePort makes sure that two processes can share what they listen on and
// what they answer from.
func checkReusePort(c *config, wrong *faults) {
	if !c.listen.reusePort || !c.good("reuse-port", "redis-url") {
		return
	}
	for _, l := range []struct{ setting, addr string }{{"http-addr", c.listen.http}, {"verify-addr", c.listen.verify}} {
		switch {
		case c.listen.inherited[l.setting] != nil:
			c.warnings = append(c.warnings, "--reuse-port changes nothing for --"+l.setting+", which the service manager has opened")
		case strings.HasPrefix(l.addr, "unix:"):
			wrong.addf("--reuse-port shares ports, and --%s is %s: for a unix socket use a .socket of systemd (docs/deployment.md)", l.setting, l.addr)
		}
	}
	switch {
	case runtime.GOOS != "linux":
		wrong.addf("--reuse-port needs Linux")
	case c.redisURL.memory || c.redisURL.embedded:
		wrong.addf("--reuse-port needs a Redis that both processes can reach, not %s", c.redisURL.masked)
	}
}
