package main

import (
	"fmt"
	"strings"
)

// inherit lets the sockets of the service manager go over the settings of their
// addresses, with a warning if those were given.
func (c *config) inherit(env []string, table []setting, wrong *faults) {
	opened, warning := inherit(env, wrong)
	if warning != "" {
		c.warnings = append(c.warnings, warning)
	}
	c.listen.inherited = opened
	addresses := map[string]*string{"http-addr": &c.listen.http, "verify-addr": &c.listen.verify, "admin-addr": &c.listen.admin}
	for _, s := range table {
		ln := opened[s.name]
		if ln == nil {
			continue
		}
		if given := c.values[s.name]; given != s.def && given != addressOf(ln) {
			c.warnings = append(c.warnings, fmt.Sprintf("--%s %s is not used: the service manager's socket %s listens on %s", s.name, given, strings.TrimSuffix(s.name, "-addr"), addressOf(ln)))
		}
		*addresses[s.name] = addressOf(ln)
	}
}
