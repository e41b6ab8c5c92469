package usage

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cloakroom-dev/cloakroom/internal/suggest"
	"github.com/spf13/pflag"
)

// NewFlags makes a set of flags for ParseFlags, without any.
func NewFlags() *pflag.FlagSet {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	flags.SortFlags = false
	return flags
}

// ParseFlags parses args and collects all that is wrong with them; pflag alone
// stops at the first. Values are not quoted: a misplaced one may be a
// password. (I6) unknown says that there was an unknown flag: it may be a misspelt one,
// whose value is missing then. The error is pflag.ErrHelp if help was asked for.
func ParseFlags(flags *pflag.FlagSet, args []string, wrong *Faults) (unknown bool, err error) {
	known, stray := make([]string, 0, len(args)), 0
	for i := 0; i < len(args); i++ {
		name, _, hasValue := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		next := i+1 < len(args) && !hasValue
		switch f := flags.Lookup(name); {
		case args[i] == "-h" || args[i] == "--help":
			return unknown, pflag.ErrHelp
		case !strings.HasPrefix(args[i], "-") || args[i] == "-":
			if stray++; stray == 1 {
				wrong.Addf("argument %d is no flag, and nothing else is taken", i+1)
			}
		case f == nil || !strings.HasPrefix(args[i], "--") || strings.HasPrefix(args[i], "---"):
			unknown = true
			wrong.Addf("unknown flag %s%s", Quote(args[i][:len(args[i])-len(strings.TrimLeft(args[i], "-"))]+name), suggest.DidYouMean("--", name, names(flags)))
			if next && !strings.HasPrefix(args[i+1], "-") {
				i++ // most likely its value
			}
		case next && f.NoOptDefVal == "":
			known = append(known, args[i], args[i+1])
			i++
		default:
			known = append(known, args[i])
		}
	}
	var missing *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch err := flags.Parse(known); {
	case err == nil:
	case errors.As(err, &missing):
		wrong.Addf("flag: --%s needs a value", missing.GetSpecifiedName())
	case errors.As(err, &invalid):
		wrong.Addf("flag: --%s has a bad value", invalid.GetFlag().Name)
	default:
		return unknown, fmt.Errorf("BUG: parsing the flags: %w", err)
	}
	return unknown, nil
}

// names are the names of all flags.
func names(flags *pflag.FlagSet) (all []string) {
	flags.VisitAll(func(f *pflag.Flag) { all = append(all, f.Name) })
	return all
}

// Quote shortens what is shown of a bad value.
func Quote(v string) string {
	if len(v) > 60 {
		return fmt.Sprintf("%q…", v[:60])
	}
	return fmt.Sprintf("%q", v)
}
