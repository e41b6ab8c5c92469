package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/config"
	"github.com/cloakroom-dev/cloakroom/internal/followed"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // it ran, and failed
	exitUsage  = 2 // it was asked for something that it does not do
)

// program is what a subcommand gets.
type program struct {
	name           string // "serve"
	args, env      []string
	stdin          io.Reader
	stdout, stderr io.Writer
	// hangup delivers SIGHUP to a subcommand that reloads; nil for the others,
	// which it ends.
	hangup <-chan os.Signal
	// lookEvery is how often serve reads the files of settings again.
	lookEvery time.Duration
}

type subcommand struct {
	name, help string
	run        func(ctx context.Context, p *program) error
}

func subcommands() []subcommand {
	return []subcommand{
		{"serve", "serve the API from the Redis at --redis-url", serve},
		{"dev", "serve 1,000 sample sessions from a private Redis, to try out", dev},
		{"key", "make an API key: cloakroom key new", key},
		{"revoke", "revoke sessions through a running sidecar", revoke},
		{"audit", "find, and repair, what does not fit together in Redis", auditCommand},
		{"export", "write all sessions to a file, or into an import", exportCommand},
		{"import", "store what export has written", importCommand},
		{"doctor", "look at a Redis before you trust it with sessions", doctorCommand},
		{"upstream", "say how copies of ZITADEL's sessions do: upstream status", upstreamCommand},
		{"acl", "print the least rights that the user of Redis needs", aclCommand},
		{config.SetUp, "let a ZITADEL send its events to Cloakroom", setupCommand},
		{"health", "ask a cloakroom on this machine whether it is ready", health},
		{"version", "print version, commit and Go version", version},
		{"help", "print this help, or that of a subcommand", help},
	}
}

// run is the program, with its arguments, environment, outputs and signals
// given, so that a test can be the program. It returns its exit code when everything that it started
// has ended. ctx ends on SIGINT and SIGTERM.
func run(ctx context.Context, args, env []string, stdout, stderr io.Writer, hangup <-chan os.Signal) int {
	return (&program{args: args, env: env, stdin: os.Stdin, stdout: stdout, stderr: stderr, hangup: hangup, lookEvery: followed.Every}).run(ctx)
}

// run is the subcommand that the first of the arguments names.
func (p *program) run(ctx context.Context) int {
	args, stderr := p.args, p.stderr
	name, rest := "help", []string(nil)
	if len(args) > 0 {
		name, rest = args[0], args[1:]
	}
	if name == "-h" || name == "--help" {
		name = "help"
	}
	all := subcommands()
	i := slices.IndexFunc(all, func(s subcommand) bool { return s.name == name })
	if i < 0 {
		_, _ = fmt.Fprintf(stderr, "cloakroom: %s\n", unknownSubcommand(name))
		return exitUsage
	}
	p.name, p.args = name, rest
	if !reloads(args) {
		var stop func()
		ctx, stop = untilHangup(ctx, p.hangup)
		defer stop()
		p.hangup = nil
	}
	err := all[i].run(ctx, p)
	var wrong *usage.Error
	var logged *loggedError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &logged) && errors.As(logged.error, &wrong):
		return exitUsage // only the server could tell
	case errors.As(err, &logged):
		return exitFailed
	case errors.As(err, &wrong):
		_, _ = fmt.Fprintf(stderr, "cloakroom %s: %v\n", name, err)
		return exitUsage
	}
	_, _ = fmt.Fprintf(stderr, "cloakroom %s: %v\n", name, err)
	return exitFailed
}
