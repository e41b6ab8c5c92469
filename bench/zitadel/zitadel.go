// Package zitadel is bench zitadel: the double of ZITADEL that tests use, as a program. Look here when a measurement
// needs another ZITADEL: a faster one, or one with more users.
package zitadel

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/cloakroom-dev/cloakroom/bench/cli"
	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
)

const about = `Usage: bench zitadel [flags]

Serves a double of ZITADEL until it is stopped: its session API, event search, change feed and token endpoint, with the answers
that were recorded of a real one. It has three service accounts, keeps everything in memory, and never ends a session by itself.

It is as slow as a real ZITADEL was measured, with PostgreSQL on two cores and 16 connections: ListSessions 305-484 a second with
a p50 of 31-48 ms, GetSession 174-187 with 80-89 ms, CreateSession 116-179 with 81-128 ms. So many calls are worked on at the same
time, and all others wait for their turn; what each takes is random. SetSession, DeleteSession and all other calls were
not measured: they take as long as a CreateSession. What a double says of ZITADEL's speed is no more than these figures.

`

// mostUsers is as many as the double should keep in memory.
const mostUsers = 1_000_000

// Command is bench zitadel: it serves a double of ZITADEL until ctx ends.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	speed := zitadeltest.Measured()
	flags := flag.NewFlagSet("zitadel", flag.ContinueOnError)
	flags.Usage = func() {
		_, _ = io.WriteString(stderr, about)
		flags.PrintDefaults()
	}
	addr := flags.String("addr", "127.0.0.1:0", "listen on this `HOST:PORT`; port 0 takes a free one")
	accounts := flags.String("accounts", "", "write the service accounts to this `FILE`, which nobody else can read: on each line name, user ID and token")
	users := flags.Int("users", 0, "how many users to have, without passwords")
	userIDs := flags.String("user-ids", "", "write the users' IDs to this `FILE`, one on each line")
	flags.IntVar(&speed.Workers, "workers", speed.Workers, "how many calls are worked on at the same time; how many at the real one was not seen, two are as many as it had cores")
	list := flags.Float64("list-rate", speed.Rates[zitadeltest.ListSessions], "how many ListSessions a second at most; 0: they take no time")
	get := flags.Float64("get-rate", speed.Rates[zitadeltest.GetSession], "the same of GetSession")
	create := flags.Float64("create-rate", speed.Rates[zitadeltest.CreateSession], "the same of CreateSession, SetSession, DeleteSession and all that is not named")
	flags.DurationVar(&speed.ListLag, "list-lag", speed.ListLag, "how late lists are after a write")
	flags.DurationVar(&speed.EventDelay, "event-delay", speed.EventDelay, "how long after it happened an event is sent to targets")
	if err := cli.Parse(flags, args, stderr); err != nil {
		return err
	}
	switch {
	case *accounts == "":
		return errors.New("zitadel: --accounts is required: without a token nobody can ask it")
	case *users < 0 || *users > mostUsers:
		return fmt.Errorf("zitadel: --users must be between 0 and %d, not %d", mostUsers, *users)
	case *userIDs != "" && *users == 0:
		return errors.New("zitadel: --user-ids needs --users")
	case speed.Workers < 1 || speed.Workers > 10_000:
		return fmt.Errorf("zitadel: --workers must be between 1 and 10000, not %d", speed.Workers)
	case *list < 0 || *get < 0 || *create < 0 || speed.ListLag < 0 || speed.EventDelay < 0:
		return errors.New("zitadel: --list-rate, --get-rate, --create-rate, --list-lag and --event-delay must not be negative")
	}
	speed.Rates = map[string]float64{
		zitadeltest.ListSessions: *list, zitadeltest.GetSession: *get, zitadeltest.CreateSession: *create, zitadeltest.Any: *create,
	}
	s, err := zitadeltest.New(zitadeltest.Config{Addr: *addr})
	if err != nil {
		return fmt.Errorf("zitadel: --addr: %w", err)
	}
	s.Change(speed.Apply)
	err = writeFiles(s, *accounts, *userIDs, *users)
	if err == nil {
		_, err = fmt.Fprintf(stdout, "a double of ZITADEL is listening on %s\n", s.URL)
	}
	if err == nil {
		<-ctx.Done()
	}
	return errors.Join(err, s.Close())
}

// writeFiles makes the users, and writes the files that were asked for.
func writeFiles(s *zitadeltest.Server, accounts, userIDs string, users int) error {
	var lines strings.Builder
	for range users {
		fmt.Fprintln(&lines, s.AddUser(zitadeltest.User{}))
	}
	if userIDs != "" {
		if err := writeFile(userIDs, lines.String()); err != nil {
			return fmt.Errorf("zitadel: --user-ids: %w", err)
		}
	}
	lines.Reset()
	for _, a := range []struct {
		name string
		zitadeltest.Account
	}{{"admin", s.Admin}, {"login", s.Login}, {"nobody", s.Nobody}} {
		fmt.Fprintln(&lines, a.name, a.UserID, a.Token)
	}
	if err := writeFile(accounts, lines.String()); err != nil {
		return fmt.Errorf("zitadel: --accounts: %w", err)
	}
	return nil
}

// writeFile puts a file in the place of an older one that others might have been able to read. CreateTemp makes it for its
// owner alone.
func writeFile(name, content string) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".bench-zitadel-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
