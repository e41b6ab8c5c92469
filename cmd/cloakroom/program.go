package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

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
	name           string // "serve"; that of a verb may follow
	args, env      []string
	stdin          io.Reader
	stdout, stderr io.Writer
	// hangup delivers SIGHUP to a subcommand that reloads; nil for the others,
	// which it ends.
	hangup <-chan os.Signal
	// lookEvery is how often serve reads the files of settings again.
	lookEvery time.Duration
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
	switch name = p.name; {
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
