package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/internal/suggest"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
)

// helpCommandHelp is what `cloakroom help help` prints.
const helpCommandHelp = `Usage: cloakroom help [SUBCOMMAND [VERB]]

Lists the subcommands, or prints the help of one.
`

// help is the subcommand: it lists the subcommands, or prints the help of one.
func help(ctx context.Context, p *program) error {
	if asksHelp(p.args) || slices.Equal(p.args, []string{"help"}) {
		_, err := io.WriteString(p.stdout, helpCommandHelp)
		return err
	}
	all := subcommands()
	if len(p.args) == 0 {
		return listSubcommands(p.stdout, all)
	}
	name := p.args[0]
	if name == "verify" {
		return &usage.Error{Faults: []string{"verify is no subcommand: serve answers it, see docs/verify.md"}}
	}
	i := slices.IndexFunc(all, func(s subcommand) bool { return s.name == name })
	if i < 0 {
		return &usage.Error{Faults: []string{unknownSubcommand(name)}}
	}
	if len(p.args) > 2 || len(p.args) == 2 && all[i].verb(p.args[1]) == nil {
		return &usage.Error{Faults: []string{"takes the name of one subcommand, and of one of its verbs"}}
	}
	p.name, p.args = name, append(slices.Clone(p.args[1:]), "--help")
	return all[i].run(ctx, p)
}

// asksHelp says whether the first argument asks for help.
func asksHelp(args []string) bool {
	return len(args) > 0 && (args[0] == "-h" || args[0] == "--help")
}

func listSubcommands(w io.Writer, all []subcommand) error {
	var b strings.Builder
	b.WriteString("Cloakroom, a session cache sidecar.\n\nUsage: cloakroom SUBCOMMAND [flags]\n\n")
	for _, s := range all {
		fmt.Fprintf(&b, "  %-13s %s\n", s.name, s.help)
	}
	b.WriteString("\n`cloakroom help SUBCOMMAND` lists the flags of one. Try `cloakroom dev` first.\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// unknownSubcommand says that there is no such subcommand, and which there is.
func unknownSubcommand(name string) string {
	var names []string
	for _, s := range subcommands() {
		names = append(names, s.name)
		if s.verb(name) != nil {
			return fmt.Sprintf("unknown subcommand %s; did you mean `cloakroom %s %s`?", usage.Quote(name), s.name, name)
		}
	}
	more := suggest.DidYouMean("", name, names)
	if more == "" {
		more = "; `cloakroom help` lists them"
	}
	return fmt.Sprintf("unknown subcommand %s%s", usage.Quote(name), more)
}
