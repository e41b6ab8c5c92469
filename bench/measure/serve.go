package measure

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/bench/peers"
	"github.com/cloakroom-dev/cloakroom/bench/scenario"
	"github.com/cloakroom-dev/cloakroom/bench/source"
)

// serving is how a baseline or a peer is served.
type serving struct {
	urls        peers.URLs
	body        int // bytes
	writeBuffer int
	grpc        string // what serves gRPC
}

// baselineKind is the kind of a bare server.
const baselineKind = "baseline"

// answered are the scenarios that peers know.
var answered = []string{"cold-start", "get-hot", "search-user"}

// canAnswer says whether a peer knows a scenario.
func canAnswer(kind, scenario string) error {
	if kind == baselineKind || peers.Answers(kind, scenario) || !peers.IsGate(kind) && slices.Contains(answered, scenario) {
		return nil
	}
	if peers.IsGate(kind) {
		return fmt.Errorf("%s does not know the scenario %q", kind, scenario)
	}
	return fmt.Errorf("peers know only the scenarios %s, not %q", strings.Join(answered, ", "), scenario)
}

// serve starts a baseline, or the peer that kind names, in a process of its own, and opens it. A peer has the dataset, and its
// answers are checked; their ends may be cut off, so none is checked in full.
func (s *side) serve(ctx context.Context, kind string, how serving, data scenario.Dataset, stderr io.Writer) error {
	more := []string{"--write-buffer", fmt.Sprint(how.writeBuffer)}
	var postgres int
	if err := canAnswer(kind, s.flags.Scenario); err != nil {
		return err
	}
	switch {
	case kind == baselineKind:
	case peers.IsGate(kind):
		more = append(more, "--peer", kind, "--issuer", s.flags.Issuer)
	default:
		var err error
		if postgres, err = seedPeer(ctx, kind, how.urls, data, stderr); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		more = append(more, "--peer", kind, "--seed-users", "0", "--redis", how.urls.Redis, "--postgres", how.urls.Postgres)
	}
	if scenario.ByGRPC(s.flags.Scenario) {
		more = append(more, "--grpc", cmp.Or(how.grpc, "connect"))
	}
	var err error
	if s.child, err = startBaseline(ctx, stderr, how.body, more...); err != nil {
		return err
	}
	s.child.kind = kind
	s.flags.Target, s.flags.GRPC, s.flags.Admin = s.child.url, s.child.grpc, ""
	if peers.OnPostgres(kind) {
		s.flags.Redis = ""
	}
	if err := s.open(ctx); err != nil {
		s.child.stop()
		return err
	}
	s.meters.PID, s.meters.Postgres = s.child.cmd.Process.Pid, postgres
	s.source.Config.Data.Newest = data.Newest
	if kind == baselineKind {
		return nil
	}
	s.source.Checking, s.source.Flags.DeepEvery = true, 0
	if err := s.source.Prepare(ctx, s.flags.Scenario); err != nil {
		s.close()
		return fmt.Errorf("%s: %w", kind, err)
	}
	return nil
}

// seedPeer stores a dataset for a peer, unless it is there, and returns the process of its PostgreSQL, 0 if that is not on
// this machine or the peer is on Redis.
func seedPeer(ctx context.Context, name string, urls peers.URLs, data scenario.Dataset, stderr io.Writer) (postgres int, err error) {
	store, err := peers.OpenStore(ctx, name, urls)
	if err != nil {
		return 0, err
	}
	defer store.Close()
	if err := store.Seed(ctx, data, stderr); err != nil {
		return 0, err
	}
	if p, ok := store.(*peers.PostgresStore); ok {
		connection, err := p.BackendPID(ctx)
		if err != nil {
			return 0, err
		}
		return source.PostgresServer(connection), nil
	}
	return 0, nil
}
