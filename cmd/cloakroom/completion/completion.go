// Package completion writes scripts that let a shell complete the command line of a program,
// from the flags that it has.
package completion

import (
	"strings"

	"github.com/cloakroom-dev/cloakroom/internal/usage"
	"github.com/spf13/pflag"
)

// program is the name of the command that is completed.
const program = "cloakroom"

// Command is a subcommand, or a verb of one.
type Command struct {
	Name, Help string
	// Flags are those that it takes, with annotations of package usage; nil for none.
	Flags *pflag.FlagSet
	// Sub are what its next word may be.
	Sub []Command
}

// Shells are those that Script knows.
func Shells() []string { return []string{"bash", "zsh", "fish"} }

// Script returns the script for a shell, and false if that is not known.
func Script(shell string, all []Command) (script string, ok bool) {
	root := Command{Name: program, Sub: all}
	switch shell {
	case "bash":
		return bash(&root), true
	case "zsh":
		return zsh(&root), true
	case "fish":
		return fish(&root), true
	}
	return "", false
}

// walk calls visit for c and all below it, each with the words that lead to it, the name of
// the program not among them.
func (c *Command) walk(visit func(path []string, c *Command), path ...string) {
	visit(path, c)
	for i := range c.Sub {
		c.Sub[i].walk(visit, append(path[:len(path):len(path)], c.Sub[i].Name)...)
	}
}

// flags calls visit for each flag.
func (c *Command) flags(visit func(f *flag)) {
	if c.Flags == nil {
		return
	}
	c.Flags.VisitAll(func(f *pflag.Flag) {
		help, _, _ := strings.Cut(f.Usage, ";") // the rest is in --help
		visit(&flag{name: "--" + f.Name, help: help, file: usage.IsFile(f), words: usage.Words(f), onOff: f.NoOptDefVal != "", list: f.Value.Type() == "stringArray"})
	})
}

// flag is a flag as scripts need it.
type flag struct {
	name, help string // with the dashes
	file       bool
	words      []string
	// onOff says that it has no value, list that it may repeat.
	onOff, list bool
}

// quote quotes text for a shell.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
