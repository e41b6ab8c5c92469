package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

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

// flagSet makes the flags of the table.
func flagSet(table []setting) *pflag.FlagSet {
	flags := newFlags()
	for _, s := range table {
		kind := "string"
		if s.value.kind == "!!bool" {
			kind = "bool"
		}
		f := flags.VarPF(&textFlag{text: s.def, kind: kind, repeats: s.value.kind == listKind}, s.name, "", s.help)
		if kind == "bool" {
			f.NoOptDefVal = "true"
		}
	}
	return flags
}

func newFlags() *pflag.FlagSet {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	flags.SortFlags = false
	return flags
}

// parseFlags parses args and collects all that is wrong with them; pflag alone
// stops at the first. Values are not quoted: a misplaced one may be a
// password. (I6) The error is pflag.ErrHelp if help was asked for.
func parseFlags(flags *pflag.FlagSet, args []string, wrong *faults) error {
	known, stray := make([]string, 0, len(args)), 0
	for i := 0; i < len(args); i++ {
		name, _, hasValue := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		next := i+1 < len(args) && !hasValue
		switch f := flags.Lookup(name); {
		case args[i] == "-h" || args[i] == "--help":
			return pflag.ErrHelp
		case !strings.HasPrefix(args[i], "-") || args[i] == "-":
			if stray++; stray == 1 {
				wrong.addf("unexpected argument: number %d is not a flag", i+1)
			}
		case f == nil || !strings.HasPrefix(args[i], "--") || strings.HasPrefix(args[i], "---"):
			wrong.addf("flag: unknown flag %s", quote(args[i][:len(args[i])-len(strings.TrimLeft(args[i], "-"))]+name))
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
		wrong.addf("flag: --%s needs a value", missing.GetSpecifiedName())
	case errors.As(err, &invalid):
		wrong.addf("flag: --%s has a bad value", invalid.GetFlag().Name)
	default:
		return fmt.Errorf("BUG: parsing the flags: %w", err)
	}
	return nil
}

// printFlags prints the help of serve and dev.
func printFlags(w io.Writer, subcommand string) error {
	table := settings(&config{})
	defaults(table, subcommand)
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: cloakroom %s [flags]\n\n", subcommand)
	for _, s := range table {
		fmt.Fprintf(&b, "  --%s\n      %s\n      %s", s.name, s.help, s.value.allowed)
		if s.def != "" {
			fmt.Fprintf(&b, "; default %s", s.def)
		}
		b.WriteString("\n")
	}
	b.WriteString("\nEvery flag is also an environment variable (--http-addr is " + envName("http-addr") +
		") and a key in the file of --config (http-addr: …).\nA flag goes over the environment, that over the file.\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// nearest suggests the setting that was probably meant.
func nearest(name string, table []setting) string {
	plain := strings.NewReplacer("_", "", "-", "", "/", "", ".", "")
	for _, s := range table {
		if s.from == anywhere && strings.EqualFold(plain.Replace(s.name), plain.Replace(name)) {
			return "; did you mean " + s.name + "?"
		}
	}
	return ""
}
