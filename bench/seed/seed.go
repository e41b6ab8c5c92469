// Package seed is bench seed and bench sessions: it stores the dataset that scenarios
// ask for, or prints it. Look here when a program has other sessions than a run wants.
package seed

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/cli"
	"github.com/cloakroom-dev/cloakroom/bench/load"
	"github.com/cloakroom-dev/cloakroom/bench/scenario"
	"github.com/cloakroom-dev/cloakroom/bench/source"
)

// defaultCreated is how many sessions are created: a ZITADEL takes some milliseconds for each.
const defaultCreated = 300

// Command is bench seed: it stores a dataset through the import API, or creates sessions.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("seed", flag.ContinueOnError)
	var f datasetFlags
	f.register(flags)
	target := flags.String("target", "http://127.0.0.1:8080", "the program: `URL`")
	by := flags.String("by", "import", "how: by import, as only Cloakroom can, or by create, at any server that speaks ZITADEL's API")
	connections := flags.Int("connections", 16, "--by create: over how many connections")
	var keyFile string
	flags.StringVar(&keyFile, "key-file", "", "`FILE` with the API key; default the environment's "+cli.KeyVariable)
	var created source.CreatedFlags
	created.Register(flags, &keyFile)
	if err := cli.Parse(flags, args, stderr); err != nil {
		return err
	}
	e, err := load.ParseEndpoint(*target)
	if err != nil {
		return fmt.Errorf("--target: %w", err)
	}
	if err := e.Trust(created.CAFile); err != nil {
		return fmt.Errorf("--ca-file: %w", err)
	}
	key, err := cli.ReadKey(keyFile)
	if err != nil {
		return err
	}
	switch *by {
	case "import":
		return byImport(ctx, e, key, &f, stdout, stderr)
	case "create":
	default:
		return fmt.Errorf("seed: --by must be import or create, not %q", *by)
	}
	counted := false
	flags.Visit(func(fl *flag.Flag) { counted = counted || fl.Name == "count" })
	if !counted {
		f.count = defaultCreated
	}
	switch {
	case f.count < 1 || f.count > scenario.MostCreated:
		return fmt.Errorf("seed: --count must be between 1 and %d by create, not %d", scenario.MostCreated, f.count)
	case *connections < 1 || *connections > 1000:
		return fmt.Errorf("seed: --connections must be between 1 and 1000, not %d", *connections)
	case created.UserIDs == "" || created.Dataset == "":
		return errors.New("seed: --by create needs --user-ids, whose sessions it creates, and --dataset, where it writes them")
	}
	return byCreate(ctx, e, key, &created, f.count, *connections, stdout, stderr)
}

func byImport(ctx context.Context, e load.Endpoint, key string, f *datasetFlags, stdout, stderr io.Writer) error {
	d, err := f.dataset("seed")
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

func byCreate(ctx context.Context, e load.Endpoint, key string, f *source.CreatedFlags, count, connections int, stdout, stderr io.Writer) error {
	var t cli.Count
	begin := time.Now()
	stop := cli.Progress(stderr, "creating sessions", int64(count), t.Look)
	made, err := f.Create(ctx, e, scenario.Config{Host: e.Host, Key: key}, count, connections, func(n int) { t.Done.Store(int64(n)) })
	stop()
	if made != nil {
		took := time.Since(begin).Seconds()
		fmt.Fprintf(stdout, "%d created in %.1f s: %.0f/s\n", len(made.Sessions), took, float64(len(made.Sessions))/took)
	}
	return err
}
