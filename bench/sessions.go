package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"time"
)

// datasetFlags are the flags that describe a dataset.
type datasetFlags struct {
	count  int
	newest string
}

func (f *datasetFlags) register(flags *flag.FlagSet) {
	flags.IntVar(&f.count, "count", 100_000, "how many sessions, rounded down to a multiple of 5; a fifth as many users")
	flags.StringVar(&f.newest, "newest", "", "creation `DATE` of the newest (RFC 3339); default an hour ago")
}

func (f *datasetFlags) dataset(name string) (dataset, error) {
	if f.count < perUser {
		return dataset{}, fmt.Errorf("%s: --count must be at least %d, not %d", name, perUser, f.count)
	}
	newest := time.Now().UTC().Add(-time.Hour)
	if f.newest != "" {
		var err error
		if newest, err = time.Parse(time.RFC3339, f.newest); err != nil {
			return dataset{}, fmt.Errorf("%s: --newest: %w", name, err)
		}
	}
	return dataset{sessions: f.count - f.count%perUser, newest: newest.UTC().Truncate(time.Microsecond)}, nil
}

// sessions prints a dataset for the import API, a line for each session.
func sessions(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("sessions", flag.ContinueOnError)
	var f datasetFlags
	f.register(flags)
	if err := parse(flags, args, stderr); err != nil {
		return err
	}
	d, err := f.dataset("sessions")
	if err != nil {
		return err
	}
	return d.write(ctx, stdout, func(int) {})
}

// write writes the whole dataset; it calls done now and then with the number of
// sessions that are written.
func (d dataset) write(ctx context.Context, w io.Writer, done func(int)) error {
	return writeLines(ctx, w, d.sessions, d.appendSession, done)
}

// writeLines writes the lines 0 to n−1; it calls done now and then with the
// number of those that are written.
func writeLines(ctx context.Context, w io.Writer, n int, appendLine func(b []byte, i int) []byte, done func(int)) error {
	const batch = 1000
	bw := bufio.NewWriterSize(w, 1<<16)
	var line []byte
	for i := range n {
		if i%batch == 0 {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			done(i)
		}
		line = appendLine(line[:0], i)
		if _, err := bw.Write(line); err != nil {
			return err
		}
	}
	done(n)
	return bw.Flush()
}
