// Package baseline is bench baseline: what a program is measured against, a bare HTTP
// server that answers as many bytes, or one script call a search. Look here when you
// doubt a ratio.
package baseline

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/cli"
	"github.com/cloakroom-dev/cloakroom/bench/scenario"
	"github.com/valyala/fasthttp"
)

const (
	maxBaselineBytes = 64 << 20
	shutdownTimeout  = 5 * time.Second
)

// Command is bench baseline: it serves a constant JSON body to every request: what fasthttp alone can
// do on this machine with as many bytes. With --evalsha it answers searches by
// user from Redis, in the ordinary way, with as many bytes.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("baseline", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:8090", "listen on this `HOST:PORT`; port 0 takes a free one")
	size := flags.Int("bytes", 950, "answer with a body of this many bytes")
	buffer := flags.Int("write-buffer", 4096, "bytes that one write takes; 4096 is what a bare server has, and cuts a longer answer in two")
	evalsha := flags.Bool("evalsha", false, "answer POST "+scenario.SearchPath+" by one script call in Redis")
	redisURL := flags.String("redis", "", "the Redis for --evalsha: `URL`")
	users := flags.Int("seed-users", 20_000, "store five sessions for so many users in that Redis first, under bench:; 0 if they are there")
	if err := cli.Parse(flags, args, stderr); err != nil {
		return err
	}
	body, err := jsonOf(*size)
	if err != nil {
		return err
	}
	answer := func(http *fasthttp.RequestCtx) {
		http.SetContentType("application/json")
		http.Response.SetBodyRaw(body)
	}
	handler := answer
	if *evalsha {
		e, err := newEvaluator(ctx, *redisURL, *users, *size, stderr)
		if err != nil {
			return err
		}
		defer e.close()
		handler = func(http *fasthttp.RequestCtx) {
			if http.IsPost() && string(http.Path()) == scenario.SearchPath {
				e.search(http)
			} else {
				answer(http)
			}
		}
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *addr)
	if err != nil {
		return err
	}
	server := &fasthttp.Server{
		Handler:               handler,
		NoDefaultServerHeader: true,
		CloseOnShutdown:       true,
		WriteBufferSize:       *buffer,
		ReadTimeout:           time.Minute,
		WriteTimeout:          time.Minute,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Fprintf(stdout, "listening on %s\n", listener.Addr())
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	shutdownCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err = server.ShutdownWithContext(shutdownCtx)
	return errors.Join(err, <-served) // I7
}

// jsonOf returns a JSON document of exactly size bytes.
func jsonOf(size int) ([]byte, error) {
	const head, tail = `{"pad":"`, `"}`
	if least := len(head) + len(tail); size < least || size > maxBaselineBytes {
		return nil, fmt.Errorf("baseline: --bytes must be between %d and %d, not %d", least, maxBaselineBytes, size)
	}
	return []byte(head + strings.Repeat("x", size-len(head)-len(tail)) + tail), nil
}
