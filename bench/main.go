// Command bench measures Cloakroom from outside. Neither it nor the packages below it import
// anything of the program; bench zitadel is a double of ZITADEL that tests use, too.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/cloakroom-dev/cloakroom/bench/baseline"
	"github.com/cloakroom-dev/cloakroom/bench/compare"
	"github.com/cloakroom-dev/cloakroom/bench/issuer"
	"github.com/cloakroom-dev/cloakroom/bench/measure"
	"github.com/cloakroom-dev/cloakroom/bench/redisproxy"
	"github.com/cloakroom-dev/cloakroom/bench/report"
	"github.com/cloakroom-dev/cloakroom/bench/seed"
	"github.com/cloakroom-dev/cloakroom/bench/zitadel"
)

const usage = `Usage: bench SUBCOMMAND [flags]

  run          measure one scenario at one rate, or in a closed loop
  pairs        run two loads by turns, and report their ratios
  peers        measure Cloakroom and other ways to keep sessions side by side
  max          find the highest rate that holds an objective
  raw          ask Redis itself for users' sessions: the least that a search can cost it
  redis-proxy  stand between a program and its Redis, and silence its invalidations when told
  issuer       make JWTs, and serve the keys of their issuer
  zitadel      serve a double of ZITADEL, as slow as a real one was measured
  start        measure how long a program takes to be ready, and its memory
  seed         store sessions through the import API, or create them at a ZITADEL
  baseline     serve a constant JSON body with a bare fasthttp handler, the ceiling to compare with; or a peer
  compare      compare two result files, with their noise
  report       make one HTML file of result files, with plots
  sessions     print sessions for the import API

bench SUBCOMMAND -h lists the flags.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run runs the subcommand that args begin with, until it is done or ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		_, _ = io.WriteString(stderr, usage)
		return errors.New("a subcommand is required")
	}
	switch name, rest := args[0], args[1:]; name {
	case "run":
		return measure.Run(ctx, rest, stdout, stderr)
	case "pairs":
		return measure.Pairs(ctx, rest, stdout, stderr)
	case "peers":
		return measure.Peers(ctx, rest, stdout, stderr)
	case "max":
		return measure.Max(ctx, rest, stdout, stderr)
	case "raw":
		return measure.Raw(ctx, rest, stdout, stderr)
	case "redis-proxy":
		return redisproxy.Command(ctx, rest, stdout, stderr)
	case "issuer":
		return issuer.Command(ctx, rest, stdout, stderr)
	case "zitadel":
		return zitadel.Command(ctx, rest, stdout, stderr)
	case "start":
		return measure.Start(ctx, rest, stdout, stderr)
	case "seed":
		return seed.Command(ctx, rest, stdout, stderr)
	case "baseline":
		return baseline.Command(ctx, rest, stdout, stderr)
	case "compare":
		return compare.Command(rest, stdout, stderr)
	case "report":
		return report.Command(rest, stdout, stderr)
	case "sessions":
		return seed.Sessions(ctx, rest, stdout, stderr)
	case "help", "-h", "--help":
		_, err := io.WriteString(stdout, usage)
		return err
	default:
		_, _ = io.WriteString(stderr, usage)
		return fmt.Errorf("unknown subcommand %q", name)
	}
}
