package seed

import (
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/cli"
	"github.com/cloakroom-dev/cloakroom/bench/scenario"
)

// datasetFlags are the flags that describe a dataset.
type datasetFlags struct {
	count  int
	newest string
}

func (f *datasetFlags) register(flags *flag.FlagSet) {
	flags.IntVar(&f.count, "count", 100_000, "how many sessions, rounded down to a multiple of 5; a fifth as many users. By create: any number, 300 unless it is given")
	flags.StringVar(&f.newest, "newest", "", "creation `DATE` of the newest (RFC 3339); default an hour ago")
}

func (f *datasetFlags) dataset(name string) (scenario.Dataset, error) {
	if f.count < scenario.PerUser {
		return scenario.Dataset{}, fmt.Errorf("%s: --count must be at least %d, not %d", name, scenario.PerUser, f.count)
	}
	newest := time.Now().UTC().Add(-time.Hour)
	if f.newest != "" {
		var err error
		if newest, err = time.Parse(time.RFC3339, f.newest); err != nil {
			return scenario.Dataset{}, fmt.Errorf("%s: --newest: %w", name, err)
		}
	}
	return scenario.Dataset{Sessions: f.count - f.count%scenario.PerUser, Newest: newest.UTC().Truncate(time.Microsecond)}, nil
}

// Sessions is bench sessions: it prints a dataset for the import API, a line for each session.
func Sessions(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("sessions", flag.ContinueOnError)
	var f datasetFlags
	f.register(flags)
	if err := cli.Parse(flags, args, stderr); err != nil {
		return err
	}
	d, err := f.dataset("sessions")
	if err != nil {
		return err
	}
	return d.Write(ctx, stdout, func(int) {})
}
