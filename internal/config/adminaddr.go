package config

import (
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/internal/usage"
)

// AdminAddr reads where serve has its admin listener from flag, environment or
// default. Its error is as Load's.
func AdminAddr(args, environ []string) (string, error) {
	c := &Config{values: map[string]string{}}
	table := slices.DeleteFunc(settings(c), func(s Setting) bool { return s.Name != "admin-addr" })
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
