package config

import (
	"github.com/cloakroom-dev/cloakroom/internal/listen"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
)

// checkConsole makes sure that somebody may sign in to the console, and warns where keys could be read on their way.
func checkConsole(c *Config, subcommand string, wrong *usage.Faults) {
	if !c.Console || !c.good("console", "auth-keys-file", "auth-anonymous", "admin-addr") {
		return
	}
	switch {
	case c.keysFile != "" || c.API.Anonymous || c.misspelt:
	case subcommand == "dev": // where it is on by default
		c.Console = false
		return
	case c.issuersFile != "" || c.upstream.URL != "": // else checkKeys says what to do
		wrong.Addf("--console: nobody could sign in: set --auth-keys-file (`cloakroom key new --file keys.yaml …` makes one), or --auth-anonymous to try out")
	}
	if !listen.Loopback(c.Listen.Admin) {
		c.Warnings = append(c.Warnings, "--console: API keys are sent in the clear to --admin-addr "+c.Listen.Admin+", which is neither loopback nor a unix socket; "+
			"listen on loopback, and reach it by `kubectl port-forward` or `ssh -L`, or put a proxy with TLS in between")
	}
}
