package config

import (
	"github.com/cloakroom-dev/cloakroom/internal/usage"
	"github.com/spf13/pflag"
)

// textFlag is the value of a flag as it was given; it is parsed with those
// of the other sources.
type textFlag struct {
	text string
	kind string
	// repeats says that the flag is a list, a member each time.
	repeats, given bool
}

// String returns the value as it was given.
func (t *textFlag) String() string { return t.text }

// Set keeps s.
func (t *textFlag) Set(s string) error {
	if t.repeats && t.given {
		s = t.text + listSeparator + s
	}
	t.text, t.given = s, true
	return nil
}

// Type is what help calls the value.
func (t *textFlag) Type() string { return t.kind }

// Flags returns the flags of a subcommand that Load reads, with their help. own are settings that
// only this one has.
func Flags(subcommand string, own ...Setting) *pflag.FlagSet {
	table := append(settings(&Config{}), own...)
	defaults(table, subcommand)
	return flagSet(table)
}

// flagSet makes the flags of the table.
func flagSet(table []Setting) *pflag.FlagSet {
	flags := usage.NewFlags()
	for _, s := range table {
		kind := "string"
		if s.value.kind == "!!bool" {
			kind = "bool"
		}
		f := flags.VarPF(&textFlag{text: s.def, kind: kind, repeats: s.value.kind == listKind}, s.Name, "", s.help)
		if kind == "bool" {
			f.NoOptDefVal = "true"
		}
		if s.value.file {
			usage.TakesFile(f)
		}
		if s.value.words != nil {
			usage.TakesWord(f, s.value.words...)
		}
	}
	return flags
}
