// Command cloakroom is a session cache sidecar: it keeps authentication
// sessions in Redis and answers ZITADEL's session API over HTTP.
//
// main is a page: run does everything, with its arguments, environment,
// outputs and signals given, so that a test can be the program.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/followed"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
	"github.com/redis/go-redis/v9"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // it ran, and failed
	exitUsage  = 2 // it was asked for something that it does not do
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// A second signal ends the process at once, if the first takes too long.
	context.AfterFunc(ctx, stop)
	hangup := make(chan os.Signal, 1)
	// nohup ignores it, for a program that outlives its terminal.
	if reloads(os.Args[1:]) || !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(hangup, syscall.SIGHUP)
	}
	redis.SetLogger(silence{})
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr, hangup))
}

// silence takes the place of go-redis' own log, which is not structured; its
// errors reach our log through the calls that meet them.
type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

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
		{"doctor", "look at a Redis before you trust it with sessions", doctorCommand},
		{"acl", "print the least rights that the user of Redis needs", aclCommand},
		{"health", "ask a cloakroom on this machine whether it is ready", health},
		{"version", "print version, commit and Go version", version},
		{"help", "print this help, or that of a subcommand", help},
	}
}

// reloads says whether SIGHUP has the program read its files again. It ends any
// other one, as when its terminal is closed.
func reloads(args []string) bool { return len(args) > 0 && args[0] == "serve" }

// untilHangup returns a context that also ends on hangup, any number of times: a
// closed terminal may send several. SIGINT and SIGTERM end the process at once then.
// stop must be called; it waits for what was started. (I7)
func untilHangup(ctx context.Context, hangup <-chan os.Signal) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-hangup:
			signal.Reset(syscall.SIGINT, syscall.SIGTERM)
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel()
		<-done
	}
}

// run is the program. It returns its exit code when everything that it started
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
	var usage *usage.Error
	var logged *loggedError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &logged) && errors.As(logged.error, &usage):
		return exitUsage // only the server could tell
	case errors.As(err, &logged):
		return exitFailed
	case errors.As(err, &usage):
		_, _ = fmt.Fprintf(stderr, "cloakroom %s: %v\n", name, err)
		return exitUsage
	}
	_, _ = fmt.Fprintf(stderr, "cloakroom %s: %v\n", name, err)
	return exitFailed
}
