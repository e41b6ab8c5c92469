// Package seed is bench seed and bench sessions: it stores the dataset that scenarios
// ask for, or prints it. Look here when a program has other sessions than a run wants.
package seed

import (
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/cli"
	"github.com/cloakroom-dev/cloakroom/bench/load"
	"github.com/cloakroom-dev/cloakroom/bench/scenario"
)

// Command is bench seed: it stores a dataset through the import API.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("seed", flag.ContinueOnError)
	var f datasetFlags
	f.register(flags)
	target := flags.String("target", "http://127.0.0.1:8080", "the program: `URL`")
	keyFile := flags.String("key-file", "", "`FILE` with the API key; default the environment's "+cli.KeyVariable)
	if err := cli.Parse(flags, args, stderr); err != nil {
		return err
	}
	d, err := f.dataset("seed")
	if err != nil {
		return err
	}
	e, err := load.ParseEndpoint(*target)
	if err != nil {
		return fmt.Errorf("--target: %w", err)
	}
	key, err := cli.ReadKey(*keyFile)
	if err != nil {
		return err
	}
	var t cli.Count
	begin := time.Now()
	stop := cli.Progress(stderr, "seeding sessions", int64(d.Sessions), t.Look)
	report, err := scenario.Import(ctx, e, key, func(w io.Writer) error {
		return d.Write(ctx, w, func(n int) { t.Done.Store(int64(n)) })
	})
	stop()
	if err != nil {
		return err
	}
	took := time.Since(begin).Seconds()
	fmt.Fprintf(stdout, "%d stored, %d expired, %d failed in %.1f s: %.0f/s; newest %s\n", report.Stored, report.Expired, report.Failed, took, float64(report.Stored)/took, scenario.Date(d.Newest))
	if report.Stored != d.Sessions {
		return fmt.Errorf("%d of %d sessions are stored: %v", report.Stored, d.Sessions, report.Errors)
	}
	return nil
}
