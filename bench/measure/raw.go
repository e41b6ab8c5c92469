package measure

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/cli"
	"github.com/cloakroom-dev/cloakroom/bench/load"
	"github.com/cloakroom-dev/cloakroom/bench/peers"
	"github.com/cloakroom-dev/cloakroom/bench/scenario"
	"github.com/cloakroom-dev/cloakroom/bench/source"
	"github.com/redis/go-redis/v9"
)

// openRaw stores users' sessions in Redis, and returns it as a source of load.
func openRaw(ctx context.Context, f *source.Flags, users int, stderr io.Writer) (*source.Source, error) {
	options, err := redis.ParseURL(f.Redis)
	switch {
	case err != nil:
		return nil, errors.New("--redis: not a URL of a Redis")
	case options.Password != "" || options.TLSConfig != nil || options.DB != 0:
		return nil, errors.New("--redis: raw load knows no password, no TLS and no database but 0")
	}
	store, err := peers.OpenRedisStore(f.Redis)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	data := scenario.Dataset{Sessions: users * scenario.PerUser, Newest: time.Now().UTC().Add(-time.Hour)}
	if err := store.Seed(ctx, data, stderr); err != nil {
		return nil, err
	}
	c := scenario.Config{Data: data, Zipf: f.Zipf}
	flags := *f
	flags.Scenario = "redis-raw"
	return &source.Source{Flags: flags, Target: load.Endpoint{Network: options.Network, Address: options.Addr}, Config: c, Checking: true}, nil
}

// Raw is bench raw: it measures what Redis itself can do.
func Raw(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("raw", flag.ContinueOnError)
	var f source.Flags
	f.Register(flags)
	users := flags.Int("seed-users", 20_000, "store five sessions for so many users first, under bench:")
	repeats := flags.Int("repeats", 1, "how many times")
	out := flags.String("out", "", "write the result to `NAME`.json and NAME-RUN.hgrm")
	if err := cli.Parse(flags, args, stderr); err != nil {
		return err
	}
	if *users < 1 {
		return fmt.Errorf("raw: --seed-users must be at least 1, not %d", *users)
	}
	s, err := openRaw(ctx, &f, *users, stderr)
	if err != nil {
		return err
	}
	return runRepeats(ctx, s, "raw", flags, &f, *repeats, *out, stdout, stderr, nil)
}
