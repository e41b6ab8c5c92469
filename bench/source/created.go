package source

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/cloakroom-dev/cloakroom/bench/load"
	"github.com/cloakroom-dev/cloakroom/bench/scenario"
)

// CreatedFlags describe sessions that CreateSession makes, at any server that speaks ZITADEL's API.
type CreatedFlags struct {
	CAFile, UserIDs, PasswordFile, Dataset string

	count, hot int
	cold       float64
}

// seedConnections is over how many connections sessions are created.
const seedConnections = 16

// Register adds the flags that bench seed has, too. keyFile is what --key-file sets.
func (f *CreatedFlags) Register(flags *flag.FlagSet, keyFile *string) {
	flags.StringVar(keyFile, "token-file", "", "the same as --key-file, at a ZITADEL: `FILE` with the token of a service account that may create, read and delete sessions")
	flags.StringVar(&f.CAFile, "ca-file", "", "trust the certificates in this `FILE`, in PEM, in the place of the system's")
	flags.StringVar(&f.UserIDs, "user-ids", "", "create sessions of these users, in turn: `FILE` with an ID on each line")
	flags.StringVar(&f.PasswordFile, "password-file", "", "`FILE` with the password of all of these users, so that it is checked, too; default: only the user is")
	flags.StringVar(&f.Dataset, "dataset", "", "the sessions that were created: `FILE`, which has their tokens, so that nobody else can read it; if it is not there, they are created and written to it")
}

func (f *CreatedFlags) registerRun(flags *flag.FlagSet) {
	flags.IntVar(&f.count, "create", 300, "get, verify, search, upstream-mix: how many sessions to create of --user-ids, if there is no --dataset")
	flags.IntVar(&f.hot, "hot", 300, "upstream-mix: how many sessions are known and asked for again and again; all others are asked for once")
	flags.Float64Var(&f.cold, "cold-share", 0.05, "upstream-mix: which share of verifies and gets asks for a session that nobody has asked for")
}

// password is that of the users, "" if none is to be checked.
func (f *CreatedFlags) password() (string, error) {
	if f.PasswordFile == "" {
		return "", nil
	}
	text, err := os.ReadFile(f.PasswordFile)
	password := strings.TrimSpace(string(text))
	if err == nil && password == "" {
		err = errors.New("the file is empty")
	}
	if err != nil {
		return "", fmt.Errorf("--password-file: %w", err)
	}
	return password, nil
}

// Create creates sessions at a target, and writes them to --dataset, if there is that flag, also those of an attempt that failed.
func (f *CreatedFlags) Create(ctx context.Context, target load.Endpoint, c scenario.Config, count, connections int, done func(int)) (*scenario.Created, error) {
	ids, err := scenario.ReadUserIDs(f.UserIDs)
	if err != nil {
		return nil, fmt.Errorf("--user-ids: %w", err)
	}
	password, err := f.password()
	if err != nil {
		return nil, err
	}
	w := scenario.Creation{Count: count, UserIDs: ids, Password: password, Connections: connections}
	made, err := w.Create(ctx, target, c, done)
	if made == nil || len(made.Sessions) == 0 || f.Dataset == "" {
		return made, err
	}
	return made, errors.Join(err, made.Write(f.Dataset))
}

// openCreated reads the sessions that the scenario asks for, or creates them.
func (s *Source) openCreated(ctx context.Context) error {
	f := &s.Flags.Created
	var made *scenario.Created
	err := os.ErrNotExist
	if f.Dataset != "" {
		made, err = scenario.ReadCreated(f.Dataset)
	}
	if errors.Is(err, os.ErrNotExist) {
		if f.UserIDs == "" {
			return fmt.Errorf("the scenario %s needs --dataset, of bench seed --by create, or --user-ids", s.Flags.Scenario)
		}
		made, err = f.Create(ctx, s.Target, s.Config, f.count, seedConnections, func(int) {})
	}
	if err != nil {
		return err
	}
	s.Config.Created, s.Config.Hot, s.Config.ColdShare = made, min(f.hot, len(made.Sessions)), f.cold
	if s.Flags.Scenario != "upstream-mix" {
		return nil
	}
	switch {
	case f.hot < 1:
		return fmt.Errorf("--hot must be at least 1, not %d", f.hot)
	case f.cold < 0 || f.cold > 1:
		return fmt.Errorf("--cold-share must be between 0 and 1, not %g", f.cold)
	case f.cold > 0 && len(made.Sessions) <= f.hot:
		return fmt.Errorf("with --cold-share there must be more sessions than the %d of --hot, and there are %d", f.hot, len(made.Sessions))
	}
	s.Config.Password, err = f.password()
	return err
}
