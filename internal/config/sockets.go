package config

import (
	"fmt"
	"strings"

	"github.com/cloakroom-dev/cloakroom/internal/listen"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
)

// inherit lets the sockets of the service manager go over the settings of their
// addresses, with a warning if those were given.
func (c *Config) inherit(env []string, table []Setting, wrong *usage.Faults) {
	opened, warning := listen.Inherit(env, wrong)
	if warning != "" {
		c.Warnings = append(c.Warnings, warning)
	}
	c.Listen.Inherited = opened
	addresses := map[string]*string{"http-addr": &c.Listen.HTTP, "verify-addr": &c.Listen.Verify, "grpc-addr": &c.Listen.GRPC, "admin-addr": &c.Listen.Admin}
	for _, s := range table {
		ln := opened[s.Name]
		if ln == nil {
			continue
		}
		if given := c.values[s.Name]; given != s.def && given != listen.AddressOf(ln) {
			c.Warnings = append(c.Warnings, fmt.Sprintf("--%s %s is not used: the service manager's socket %s listens on %s", s.Name, given, strings.TrimSuffix(s.Name, "-addr"), listen.AddressOf(ln)))
		}
		*addresses[s.Name] = listen.AddressOf(ln)
	}
}
