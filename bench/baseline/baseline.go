// Package baseline is bench baseline: what a program is measured against, a bare HTTP
// server that answers as many bytes, by itself or from a peer. Look here when you
// doubt a ratio.
package baseline

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/cli"
	"github.com/cloakroom-dev/cloakroom/bench/peers"
	"github.com/cloakroom-dev/cloakroom/bench/scenario"
	"golang.org/x/sync/errgroup"
)

const maxBaselineBytes = 64 << 20

// Command is bench baseline: it serves a constant JSON body to every request: what fasthttp alone can
// do on this machine with as many bytes. With --peer it answers searches by
// user, and Gets, from a store in an ordinary way, or verifies, with as many bytes.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("baseline", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:8090", "listen on this `HOST:PORT`; port 0 takes a free one")
	size := flags.Int("bytes", 950, "answer with a body of this many bytes")
	buffer := flags.Int("write-buffer", 4096, "bytes that one write takes; 4096 is what a bare server has, and cuts a longer answer in two")
	library := flags.String("grpc", "", "answer calls of gRPC, too, on a port of its own, by this library: connect or grpc-go")
	name := flags.String("peer", "", "answer searches by user and Gets from a store, as `NAME` does: "+strings.Join(peers.Names(), ", ")+"; or verify: "+strings.Join(peers.Gates(), ", "))
	tokens := flags.String("issuer", "", "verify tokens of the bench issuer with this `DIR`")
	var urls peers.URLs
	flags.StringVar(&urls.Redis, "redis", "", "the Redis of a peer: `URL`")
	flags.StringVar(&urls.Postgres, "postgres", "", "the PostgreSQL of the peer postgres: `URL`")
	users := flags.Int("seed-users", 20_000, "store five sessions for so many users there first, apart from all else; 0 if they are there")
	if err := cli.Parse(flags, args, stderr); err != nil {
		return err
	}
	if !slices.Contains(append(libraries, ""), *library) {
		return fmt.Errorf("baseline: --grpc must be %s", strings.Join(libraries, " or "))
	}
	body, err := jsonOf(*size)
	if err != nil {
		return err
	}
	server := peers.Server{Pad: body, WriteBuffer: *buffer}
	switch {
	case peers.IsGate(*name):
		gate, err := peers.OpenGate(*name, *tokens)
		if err != nil {
			return err
		}
		defer gate.Close()
		server.Gate = gate
	case *name != "":
		if err := seed(ctx, *name, urls, *users, stderr); err != nil {
			return err
		}
		peer, err := peers.Open(ctx, *name, urls)
		if err != nil {
			return err
		}
		defer peer.Close()
		server.Peer = peer
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *addr)
	if err != nil {
		return err
	}
	if *library == "" {
		fmt.Fprintf(stdout, "listening on %s\n", listener.Addr())
		return server.Serve(ctx, listener)
	}
	calls, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	fmt.Fprintf(stdout, "listening on %s, by gRPC on %s\n", listener.Addr(), calls.Addr())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return server.Serve(ctx, listener) })
	group.Go(func() error { return serveGRPC(ctx, calls, *library, *size) })
	return group.Wait()
}

// seed stores five sessions for each of so many users in the store of a peer.
func seed(ctx context.Context, name string, urls peers.URLs, users int, stderr io.Writer) error {
	if users == 0 {
		return nil
	}
	store, err := peers.OpenStore(ctx, name, urls)
	if err != nil {
		return err
	}
	defer store.Close()
	return store.Seed(ctx, scenario.Dataset{Sessions: users * scenario.PerUser, Newest: time.Now().UTC().Add(-time.Hour).Truncate(time.Microsecond)}, stderr)
}

// jsonOf returns a JSON document of exactly size bytes, with as many texts as an answer of
// sessions has: to read it costs the load generator as much.
func jsonOf(size int) ([]byte, error) {
	const head, tail, text, last = `{"pad":["`, `"]}`, `seventeen letters","`, "x"
	if least := len(head) + len(tail); size < least || size > maxBaselineBytes {
		return nil, fmt.Errorf("baseline: --bytes must be between %d and %d, not %d", least, maxBaselineBytes, size)
	}
	room := size - len(head) - len(tail)
	return []byte(head + strings.Repeat(text, room/len(text)) + strings.Repeat(last, room%len(text)) + tail), nil
}
