package main

import (
	"slices"
	"strings"
)

// adminAddr reads where serve has its admin listener from flag, environment or
// default. Its error is one of load's.
func adminAddr(args, environ []string) (string, error) {
	c := &config{values: map[string]string{}}
	table := slices.DeleteFunc(settings(c), func(s setting) bool { return s.name != "admin-addr" })
	flags := flagSet(table)
	var wrong faults
	if err := parseFlags(flags, args, &wrong); err != nil {
		return "", err
	}
	source, addr := "flag: --admin-addr", flags.Lookup("admin-addr").Value.String()
	if !flags.Lookup("admin-addr").Changed {
		for _, e := range environ {
			if v, ok := strings.CutPrefix(e, envName("admin-addr")+"="); ok && v != "" {
				source, addr = "environment: "+envName("admin-addr"), v
			}
		}
	}
	if !table[0].value.set(addr) {
		wrong.addf("%s: %s is not %s", source, quote(addr), table[0].value.allowed)
	}
	return c.listen.admin, wrong.err()
}
