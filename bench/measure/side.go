package measure

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/cloakroom-dev/cloakroom/bench/peers"
	"github.com/cloakroom-dev/cloakroom/bench/source"
)

// side is one of the two loads that pairs compares.
type side struct {
	name   string
	title  string // that it was given
	flags  source.Flags
	source *source.Source
	meters *source.Meters
	child  *child
}

// sideFlags are those of a load that either side can have to itself.
var sideFlags = []string{"scenario", "grpc", "key-file", "token-file", "admin", "redis", "rate", "schedule", "connections", "sessions", "newest", "offset", "limit", "zipf"}

func addSideFlags(flags *flag.FlagSet) {
	for _, side := range []string{"a", "b"} {
		flags.String(side+"-name", "", "what its loads are called in results: `WORDS`")
	}
	for _, name := range sideFlags {
		for _, prefix := range []string{"a-", "b-"} {
			flags.String(prefix+name, "", "--"+name+" of this side only")
		}
	}
}

// newSide makes a side's flags: the shared ones, and over them its own.
func newSide(flags *flag.FlagSet, name string) (*side, error) {
	s := &side{name: name}
	own := flag.NewFlagSet(name, flag.ContinueOnError)
	s.flags.Register(own)
	var err error
	set := func(to, value string) {
		if own.Lookup(to) != nil && err == nil {
			if err = own.Set(to, value); err != nil {
				err = fmt.Errorf("pairs: --%s %q: %w", to, value, err)
			}
		}
	}
	flags.Visit(func(f *flag.Flag) { set(f.Name, f.Value.String()) })
	flags.Visit(func(f *flag.Flag) {
		if f.Name == name+"-name" {
			s.title = f.Value.String()
		} else if f.Name == name {
			set("target", f.Value.String())
		} else if to, ok := strings.CutPrefix(f.Name, name+"-"); ok {
			set(to, f.Value.String())
		}
	})
	return s, err
}

func (s *side) label() string {
	what := s.flags.Scenario
	switch {
	case s.title != "":
		what += " " + s.title
	case s.child != nil:
		what += " of " + s.child.kind
	}
	if s.flags.Scenario == "search-admin" && s.flags.Offset >= 0 {
		what += fmt.Sprintf(" at offset %d", s.flags.Offset)
	}
	return what
}

func (s *side) open(ctx context.Context) error {
	var err error
	if s.source, err = s.flags.Open(ctx); err != nil {
		return err
	}
	s.meters, err = source.OpenMeters(ctx, &s.flags)
	return err
}

// start opens side b, and before, if it is to be a baseline or a peer, starts one.
func (s *side) start(ctx context.Context, a *side, how serving, seedUsers int, stderr io.Writer) error {
	switch kind := s.flags.Target; {
	case kind == "raw":
		var err error
		if s.source, err = openRaw(ctx, &s.flags, seedUsers, stderr); err != nil {
			return err
		}
		s.flags = s.source.Flags
		s.flags.Admin = ""
		s.meters, err = source.OpenMeters(ctx, &s.flags)
		return err
	case kind == baselineKind || peers.Is(kind) || peers.IsGate(kind):
		var err error
		if how.body, err = equalBody(ctx, a.source); err != nil {
			return err
		}
		how.urls.Redis = s.flags.Redis
		return s.serve(ctx, kind, how, a.source.Config.Data, stderr)
	default:
		return s.open(ctx)
	}
}

func (s *side) close() {
	s.meters.Close()
	if s.child != nil {
		s.child.stop()
	}
}
