// Package cli is what the subcommands share at the command line: flags, names of
// files, the API key, and how far something is. Look here when a subcommand takes an
// argument that it should not.
package cli

import (
	"flag"
	"fmt"
	"io"
)

// ParseFiles parses args, in which flags and names of files may be mixed, and returns
// the names. The flag package has printed what is wrong to stderr when it fails.
func ParseFiles(flags *flag.FlagSet, args []string, stderr io.Writer) ([]string, error) {
	flags.SetOutput(stderr)
	var files []string
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			return files, nil
		}
		files = append(files, flags.Arg(0))
		args = flags.Args()[1:]
	}
}

// Parse parses args, which may hold flags only. The flag package has printed what is wrong to stderr when it fails.
func Parse(flags *flag.FlagSet, args []string, stderr io.Writer) error {
	flags.SetOutput(stderr)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%s: unexpected argument %q", flags.Name(), flags.Arg(0))
	}
	return nil
}
