package measure

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/cloakroom-dev/cloakroom/bench/cli"
	"github.com/cloakroom-dev/cloakroom/bench/peers"
	"github.com/cloakroom-dev/cloakroom/bench/quantity"
	"github.com/cloakroom-dev/cloakroom/bench/result"
	"github.com/cloakroom-dev/cloakroom/bench/source"
)

// sideBySide is what bench peers measures. Its flags say what each is.
type sideBySide struct {
	near, nearAdmin string
	names           []string
	connections     []int
	rounds          int
	serving         serving
}

// Peers is bench peers: it measures Cloakroom and the peers by turns, over as many connections each, and shows them
// side by side.
func Peers(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	var f source.Flags
	f.Register(flag.NewFlagSet("", flag.ContinueOnError)) // for what has no flag here
	flags.StringVar(&f.Target, "target", f.Target, "Cloakroom: `URL`, http://HOST:PORT or unix:PATH")
	flags.StringVar(&f.Admin, "admin", "", "its admin listener: `URL`; adds its CPU time to the result")
	flags.StringVar(&f.Redis, "redis", "", "its Redis, which must have nothing but its sessions: `URL`; adds Redis' CPU time and memory")
	flags.StringVar(&f.KeyFile, "key-file", "", "`FILE` with the API key; default the environment's "+cli.KeyVariable)
	flags.StringVar(&f.Placement, "placement", "load, programs and stores on one machine", "what runs where, in words")
	flags.StringVar(&f.Scenario, "scenario", "search-user", "what to ask: `NAME`, "+strings.Join(answered, ", ")+", or verify-jwt of gates")
	f.RegisterJWTs(flags)
	flags.Float64Var(&f.Seconds, "seconds", 5, "how long to measure each in a round")
	flags.Float64Var(&f.Warmup, "warmup", 1, "seconds of load before it that do not count")
	flags.Float64Var(&f.Zipf, "zipf", f.Zipf, "exponent of the skew; 0 is uniform")
	flags.Uint64Var(&f.Seed, "seed", 1, "seed of all that is random")
	flags.IntVar(&f.Sessions, "sessions", 10_000, "how many sessions were seeded; the peers are seeded here with the same")
	var s sideBySide
	flags.StringVar(&s.near, "near", "", "Cloakroom with a near cache, on the same Redis: `URL`; none is left out")
	flags.StringVar(&s.nearAdmin, "near-admin", "", "its admin listener: `URL`")
	flags.StringVar(&s.serving.urls.Redis, "peers-redis", "", "a Redis for the peers, which must have nothing else: `URL`")
	flags.StringVar(&s.serving.urls.Postgres, "postgres", "", "a PostgreSQL for the peer postgres, which makes the schema cloakroom_bench there: `URL`")
	flags.IntVar(&s.serving.writeBuffer, "write-buffer", 8192, "bytes that one write of a peer's server takes; Cloakroom's takes 8192")
	flags.IntVar(&s.rounds, "rounds", 5, "how many rounds; each measures all of them once")
	names := flags.String("peers", strings.Join(peers.Names(), ","), "which peers: `NAMES` with commas between them; for verify-jwt of "+strings.Join(peers.Gates(), ", ")+"; baseline is a bare server")
	connections := flags.String("connections", "64,8,1", "over how many connections: `NUMBERS` with commas between them")
	out := flags.String("out", "", "write the result to `NAME`.json and NAME-RUN.hgrm")
	err := cli.Parse(flags, args, stderr)
	if err != nil {
		return err
	}
	if s.connections, err = numbers(*connections); err != nil {
		return err
	}
	s.names = strings.Split(*names, ",")
	for _, name := range s.names {
		if name != baselineKind && !peers.Is(name) && !peers.IsGate(name) {
			return fmt.Errorf("--peers: unknown peer %q: %s", name, strings.Join(append(peers.Names(), peers.Gates()...), ", "))
		}
		if err := canAnswer(name, f.Scenario); err != nil {
			return err
		}
	}
	if s.rounds < 1 {
		return fmt.Errorf("--rounds must be at least 1, not %d", s.rounds)
	}
	f.Connections = slices.Max(s.connections)

	sides, err := s.open(ctx, &f, stderr)
	defer func() {
		for _, side := range sides {
			side.close()
		}
	}()
	if err != nil {
		return err
	}
	res := source.NewResult(ctx, "peers", flags, &f, sides[0].source, sides[0].meters)
	bytes, err := s.storeBytes(ctx, &f, res)
	if err != nil {
		return err
	}
	for _, n := range s.connections {
		for round := range s.rounds {
			for i := range sides {
				side := sides[(i+round)%len(sides)] // so that none has the better place
				side.source.Flags.Connections = n
				run, err := side.source.Measure(ctx, stderr, side.meters, 0, f.Seconds, f.Seed+uint64(round))
				if err != nil {
					return fmt.Errorf("%s: %w", side.name, err)
				}
				if run.Wrong > 0 && run.Invalid == "" {
					run.Invalid = fmt.Sprintf("%s: %d answers are not the truth", side.name, run.Wrong)
				}
				run.Peer, run.Label = side.name, fmt.Sprintf("%s, %d connections", side.name, n)
				if b, ok := bytes[s.storeOf(side.name)]; ok {
					run.Figures[result.StoreBytes] = b / float64(side.source.Config.Data.Sessions)
				}
				res.Runs = append(res.Runs, *run)
				if ctx.Err() != nil {
					return ctx.Err()
				}
			}
		}
	}
	for _, at := range quantity.ByConnections(res) {
		printSideBySide(stdout, at)
	}
	return res.End(*out)
}

// open opens Cloakroom, the one with a near cache, and the peers. If it fails, it returns those that it has opened.
func (s *sideBySide) open(ctx context.Context, f *source.Flags, stderr io.Writer) ([]*side, error) {
	own := []*side{{name: result.Cloakroom, flags: *f}}
	if s.near != "" {
		near := &side{name: result.CloakroomNear, flags: *f}
		near.flags.Target, near.flags.Admin = s.near, s.nearAdmin
		own = append(own, near)
	}
	var sides []*side
	for _, side := range own {
		if err := side.open(ctx); err != nil {
			return sides, fmt.Errorf("%s: %w", side.name, err)
		}
		sides = append(sides, side)
	}
	if s.serving.urls.Redis != "" && s.serving.urls.Redis == f.Redis {
		return sides, errors.New("--peers-redis must be another Redis than --redis")
	}
	var err error
	if s.serving.body, err = equalBody(ctx, sides[0].source); err != nil {
		return sides, err
	}
	for _, name := range s.names {
		peer := &side{name: name, flags: *f}
		peer.flags.Redis = s.serving.urls.Redis
		if err := peer.serve(ctx, name, s.serving, sides[0].source.Config.Data, stderr); err != nil {
			return sides, err
		}
		sides = append(sides, peer)
	}
	return sides, nil
}

// The stores of the programs.
const (
	ownRedis      = "Cloakroom's Redis"
	peersRedis    = "the peers' Redis"
	peersPostgres = "PostgreSQL"
)

func (s *sideBySide) storeOf(name string) string {
	switch {
	case peers.OnPostgres(name):
		return peersPostgres
	case peers.Is(name):
		return peersRedis
	case strings.HasPrefix(name, result.Cloakroom):
		return ownRedis
	default:
		return ""
	}
}

// storeBytes returns how much each store takes, and notes PostgreSQL's version in the result.
func (s *sideBySide) storeBytes(ctx context.Context, f *source.Flags, res *result.Result) (map[string]float64, error) {
	bytes := map[string]float64{}
	ask := func(what, name string, urls peers.URLs) error {
		store, err := peers.OpenStore(ctx, name, urls)
		if err != nil {
			return err
		}
		defer store.Close()
		n, err := store.Bytes(ctx)
		if err != nil {
			return err
		}
		bytes[what] = float64(n)
		if p, ok := store.(*peers.PostgresStore); ok {
			res.Environment.Postgres, err = p.Version(ctx)
		}
		return err
	}
	if f.Redis != "" {
		if err := ask(ownRedis, "go-redis", peers.URLs{Redis: f.Redis}); err != nil {
			return nil, err
		}
	}
	for _, name := range s.names {
		if !peers.Is(name) {
			continue // it has no store
		}
		if what := s.storeOf(name); bytes[what] == 0 {
			if err := ask(what, name, s.serving.urls); err != nil {
				return nil, err
			}
		}
	}
	return bytes, nil
}

// numbers parses positive numbers with commas between them.
func numbers(list string) ([]int, error) {
	var all []int
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || slices.Contains(all, n) {
			return nil, fmt.Errorf("--connections: %q is not a list of positive numbers, each once", list)
		}
		all = append(all, n)
	}
	return all, nil
}

// printSideBySide prints a Markdown table.
func printSideBySide(w io.Writer, s *quantity.SideBySide) {
	head, rows := s.Table()
	fmt.Fprintf(w, "\n%d connections, medians (lowest–highest):\n\n| %s |\n|%s\n", s.Connections, strings.Join(head, " | "), strings.Repeat("---|", len(head)))
	for _, row := range rows {
		fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
	}
	fmt.Fprintln(w)
	for _, p := range s.Peers {
		var bad uint64
		var first string
		for _, run := range p.Runs {
			bad += run.Errors + run.Wrong + run.Dropped
			if first == "" {
				first = run.FirstError
			}
		}
		if bad > 0 {
			fmt.Fprintf(w, "%s: %d errors, wrong or dropped; the first: %s\n", p.Name, bad, strings.TrimSpace(first))
		}
	}
}
