package main

import (
	"context"
	"io"

	"github.com/cloakroom-dev/cloakroom/cmd/cloakroom/completion"
	"github.com/cloakroom-dev/cloakroom/cmd/cloakroom/move"
	"github.com/cloakroom-dev/cloakroom/cmd/cloakroom/sessions"
	"github.com/cloakroom-dev/cloakroom/internal/config"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
	"github.com/spf13/pflag"
)

// subcommand is one of the program's.
type subcommand struct {
	name, help string
	run        func(ctx context.Context, p *program) error
	// flags returns its flags, for completion; nil if it has none of its own.
	flags func() *pflag.FlagSet
	// verbs are what its first argument may be, if that is a word.
	verbs []verb
}

// verb is what a subcommand is told to do.
type verb struct {
	name, help string
	flags      func() *pflag.FlagSet // nil if it has none
}

func subcommands() []subcommand {
	return []subcommand{
		{name: "serve", help: "serve the API from the Redis at --redis-url", run: serve, flags: settingsOf("serve")},
		{name: "dev", help: "serve 1,000 sample sessions from a private Redis, to try out", run: dev, flags: settingsOf("dev")},
		{name: "key", help: "make an API key: cloakroom key new", run: key, verbs: []verb{{"new", "make an API key", new(keyRequest).flags}}},
		{name: "sessions", help: "list, show, explain and revoke sessions of a sidecar", run: sessionsCommand, verbs: sessionVerbs()},
		{name: "audit", help: "find, and repair, what does not fit together in Redis", run: auditCommand, flags: settingsOf("audit", new(auditFlags).settings()...)},
		{name: "export", help: "write all sessions to a file, or into an import", run: exportCommand, flags: settingsOf("export", move.ExportSettings()...)},
		{name: "import", help: "store what export has written", run: importCommand, flags: settingsOf("import", move.ImportSettings()...)},
		{name: "doctor", help: "look at a Redis before you trust it with sessions", run: doctorCommand, flags: settingsOf("doctor", new(doctorFlags).settings()...)},
		{name: "upstream", help: "say how copies of ZITADEL's sessions do: upstream status", run: upstreamCommand, verbs: []verb{
			{"status", "say how copies of ZITADEL's sessions do", settingsOf("upstream", new(statusFlags).settings()...)},
		}},
		{name: "acl", help: "print the least rights that the user of Redis needs", run: aclCommand, flags: settingsOf("acl", new(aclFlags).settings()...)},
		{name: config.SetUp, help: "let a ZITADEL send its events to Cloakroom", run: setupCommand, flags: settingsOf(config.SetUp, new(setupFlags).settings()...)},
		{name: "health", help: "ask a cloakroom on this machine whether it is ready", run: health, flags: config.AdminAddrFlags},
		{name: "completion", help: "print the completion of a shell: bash, zsh or fish", run: completionCommand, verbs: shells()},
		{name: "version", help: "print version, commit and Go version", run: version},
		{name: "help", help: "print this help, or that of a subcommand", run: help},
	}
}

// settingsOf are the flags of a subcommand that reads the settings of serve.
func settingsOf(name string, own ...config.Setting) func() *pflag.FlagSet {
	return func() *pflag.FlagSet { return config.Flags(name, own...) }
}

// verb returns a verb of the subcommand, nil if there is none of that name.
func (s *subcommand) verb(name string) *verb {
	for i := range s.verbs {
		if s.verbs[i].name == name {
			return &s.verbs[i]
		}
	}
	return nil
}

func sessionVerbs() (all []verb) {
	for _, v := range sessions.Verbs() {
		all = append(all, verb{v.Name, v.Help, v.Flags})
	}
	return all
}

// sessionsCommand is the subcommand.
func sessionsCommand(ctx context.Context, p *program) error {
	called, err := sessions.Run(ctx, &sessions.Program{Args: p.args, Env: p.env, Stdin: p.stdin, Stdout: p.stdout, Stderr: p.stderr, Pipes: p.pipes(ctx)})
	if called != "" {
		p.name += " " + called
	}
	return err
}

const completionHelp = `Usage: cloakroom completion bash
       cloakroom completion zsh
       cloakroom completion fish

Prints a script that lets the shell complete subcommands, verbs, flags, and the
values of flags. docs/operations.md says where to put it.
`

func shells() (all []verb) {
	for _, name := range completion.Shells() {
		all = append(all, verb{name: name, help: "print the completion of " + name})
	}
	return all
}

// completionCommand is the subcommand.
func completionCommand(_ context.Context, p *program) error {
	if asksHelp(p.args) || len(p.args) == 2 && asksHelp(p.args[1:]) {
		_, err := io.WriteString(p.stdout, completionHelp)
		return err
	}
	if len(p.args) != 1 {
		return &usage.Error{Faults: []string{"takes the name of one shell: bash, zsh or fish"}}
	}
	script, ok := completion.Script(p.args[0], commandTree())
	if !ok {
		return &usage.Error{Faults: []string{"knows bash, zsh and fish, not " + usage.Quote(p.args[0])}}
	}
	_, err := io.WriteString(p.stdout, script)
	return err
}

// commandTree is the program as completion knows it.
func commandTree() (all []completion.Command) {
	var helpOf []completion.Command
	for _, s := range subcommands() {
		c := completion.Command{Name: s.name, Help: s.help, Flags: withHelp(s.flags)}
		named := completion.Command{Name: s.name, Help: s.help}
		for _, v := range s.verbs {
			c.Sub = append(c.Sub, completion.Command{Name: v.name, Help: v.help, Flags: withHelp(v.flags)})
			named.Sub = append(named.Sub, completion.Command{Name: v.name, Help: v.help})
		}
		all, helpOf = append(all, c), append(helpOf, named)
	}
	all[len(all)-1].Sub = helpOf // help itself is the last
	return all
}

// withHelp returns flags, and --help, which every subcommand and verb has.
func withHelp(flags func() *pflag.FlagSet) *pflag.FlagSet {
	all := usage.NewFlags()
	if flags != nil {
		all = flags()
	}
	all.Bool("help", false, "print what this does and its flags")
	return all
}
