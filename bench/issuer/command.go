package issuer

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/cli"
)

// Command is bench issuer: it makes keys and tokens, writes them and a file for
// --auth-issuers-file into a directory, says where it listens, and serves its keys until ctx ends.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("issuer", flag.ContinueOnError)
	dir := flags.String("dir", "", "`DIR` for keys, tokens and "+cloakroomFile+"; what is there of an issuer is replaced")
	addr := flags.String("addr", "127.0.0.1:0", "listen on this `HOST:PORT`; port 0 takes a free one")
	counts := map[string]map[string]*int{}
	for _, algorithm := range Algorithms {
		counts[algorithm] = map[string]*int{
			Live: flags.Int(flagOf(algorithm, Live), 10_000, "how many tokens to sign by "+algorithm+" that are asked for again and again; introspection knows these"),
			Cold: flags.Int(flagOf(algorithm, Cold), 0, "how many tokens to sign by "+algorithm+" that are shown once; a thousand take a second or less"),
		}
	}
	lifetime := flags.Duration("lifetime", 12*time.Hour, "how long tokens are good")
	delay := flags.Duration("introspection-delay", 0, "how long an answer to introspection is held back")
	if err := cli.Parse(flags, args, stderr); err != nil {
		return err
	}
	if *dir == "" || *lifetime <= 0 {
		return errors.New("issuer: --dir is required, --lifetime must be positive")
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	i, err := create(*dir, "http://"+listener.Addr().String())
	if err != nil {
		return err
	}
	var known []*Tokens
	for _, algorithm := range Algorithms {
		for _, kind := range []string{Live, Cold} {
			if err := i.signAll(ctx, algorithm, kind, *counts[algorithm][kind], *lifetime, stderr); err != nil {
				return err
			}
		}
		if n := *counts[algorithm][Live]; n > 0 {
			live, err := ReadTokens(*dir, algorithm, Live, n)
			if err != nil {
				return err
			}
			known = append(known, live)
		}
	}
	s, err := newServer(i, *delay, known)
	if err != nil {
		return err
	}
	if err := i.writeCloakroomFile(); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "listening on %s, %s\n", listener.Addr(), filepath.Join(*dir, cloakroomFile))
	return s.serve(ctx, listener)
}

// flagOf names the flag that says how many tokens are signed.
func flagOf(algorithm, kind string) string {
	name := strings.ToLower(algorithm)
	if kind == Cold {
		name += "-cold"
	}
	return name
}

func (i *Issuer) signAll(ctx context.Context, algorithm, kind string, n int, lifetime time.Duration, stderr io.Writer) error {
	if n == 0 {
		return nil
	}
	var signed cli.Count
	stop := cli.Progress(stderr, "signing "+kind+" tokens by "+algorithm, int64(n), signed.Look)
	defer stop()
	return i.writeTokens(ctx, algorithm, kind, n, lifetime, func() { signed.Done.Add(1) })
}
