package config

import (
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/internal/usage"
	"github.com/spf13/pflag"
)

// AdminAddrFlags returns the flag that AdminAddr reads.
func AdminAddrFlags() *pflag.FlagSet { return flagSet(adminAddr(&Config{})) }

// adminAddr is the part of the table with the admin listener.
func adminAddr(c *Config) []Setting {
	return slices.DeleteFunc(settings(c), func(s Setting) bool { return s.Name != "admin-addr" })
}

// AdminAddr reads where serve has its admin listener from flag, environment or
// default. Its error is as Load's.
func AdminAddr(args, environ []string) (string, error) {
	c := &Config{values: map[string]string{}}
	table := adminAddr(c)
	flags := flagSet(table)
	var wrong usage.Faults
	if _, err := usage.ParseFlags(flags, args, &wrong); err != nil {
		return "", err
	}
	source, addr := "flag: --admin-addr", flags.Lookup("admin-addr").Value.String()
	if !flags.Lookup("admin-addr").Changed {
		for _, e := range environ {
			if v, ok := strings.CutPrefix(e, EnvName("admin-addr")+"="); ok && v != "" {
				source, addr = "environment: "+EnvName("admin-addr"), v
			}
		}
	}
	if !table[0].value.set(addr) {
		wrong.Addf("%s: %s is not %s", source, usage.Quote(addr), table[0].value.allowed)
	}
	return c.Listen.Admin, wrong.Err()
}
