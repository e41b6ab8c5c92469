package config

import (
	"fmt"
	"io"
	"strings"

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

// flagSet makes the flags of the table.
func flagSet(table []Setting) *pflag.FlagSet {
	flags := usage.NewFlags()
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

// PrintHelp prints the help of serve and dev.
func PrintHelp(w io.Writer, subcommand string) error {
	table := settings(&Config{})
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
	b.WriteString("\nEvery flag is also an environment variable (--http-addr is " + EnvName("http-addr") +
		") and a key in the file of --config (http-addr: …).\nA flag goes over the environment, that over the file.\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// nearest suggests the setting that was probably meant.
func nearest(name string, table []Setting) string {
	plain := strings.NewReplacer("_", "", "-", "", "/", "", ".", "")
	for _, s := range table {
		if s.from == anywhere && strings.EqualFold(plain.Replace(s.name), plain.Replace(name)) {
			return "; did you mean " + s.name + "?"
		}
	}
	return ""
}
