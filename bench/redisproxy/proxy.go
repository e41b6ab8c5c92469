// Package redisproxy is bench redis-proxy: it stands between a program and its Redis. Look here to
// take from a program what it is told of changes, and nothing else.
package redisproxy

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/cli"
	"github.com/cloakroom-dev/cloakroom/bench/load"
	"github.com/redis/go-redis/v9"
)

// Command is bench redis-proxy: it stands between a program and its Redis until ctx ends, and
// can silence the connections that invalidations come over.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("redis-proxy", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:0", "where the program finds its Redis: `HOST:PORT`; port 0 takes a free one")
	control := flags.String("control", "127.0.0.1:0", "where POST /stall and POST /cut are taken: `HOST:PORT`")
	redisURL := flags.String("redis", "redis://127.0.0.1:6379", "that Redis: `URL`")
	delay := flags.Duration("delay", 0, "how long what the program sends is held back, which lowers what it can do")
	if err := cli.Parse(flags, args, stderr); err != nil {
		return err
	}
	options, err := redis.ParseURL(*redisURL)
	if err != nil {
		return errors.New("--redis: not a URL of a Redis") // err may hold a password
	}
	p := &proxy{target: load.Endpoint{Network: options.Network, Address: options.Addr}, all: map[*pair]bool{}, delay: *delay}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *listen)
	if err != nil {
		return err
	}
	defer ln.Close()
	controlLn, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *control)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	served, ran := make(chan error, 1), make(chan error, 1)
	go func() { served <- server.Serve(controlLn) }()
	go func() { ran <- p.run(ctx, ln) }()
	fmt.Fprintf(stdout, "listening on %s, control on %s\n", ln.Addr(), controlLn.Addr())
	select {
	case err = <-served:
		served <- err
	case err = <-ran:
		ran <- err
	case <-ctx.Done():
	}
	stop()
	_, _ = server.Close(), ln.Close()
	<-served // I7
	<-ran
	return err
}

// proxy hands on what comes, both ways. It takes a connection for one of
// invalidations once CLIENT TRACKING was sent over it.
type proxy struct {
	target load.Endpoint
	// delay is how long what comes from the program is held back.
	delay time.Duration
	mu    sync.Mutex
	all   map[*pair]bool
}

// pair is one connection and its other half.
type pair struct {
	client, server net.Conn
	// up and down are held while bytes are handed on to the server, the client.
	up, down          sync.Mutex
	tracking, stalled atomic.Bool
}

// run takes connections until the listener is closed.
func (p *proxy) run(ctx context.Context, ln net.Listener) error {
	var open sync.WaitGroup
	defer open.Wait()
	for {
		client, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		open.Go(func() { p.serve(ctx, client) })
	}
}

func (p *proxy) serve(ctx context.Context, client net.Conn) {
	defer client.Close()
	server, err := p.target.Dial(ctx)
	if err != nil {
		return
	}
	l := &pair{client: client, server: server}
	defer l.close()
	p.mu.Lock()
	p.all[l] = true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.all, l)
	}()
	defer context.AfterFunc(ctx, l.close)()
	var both sync.WaitGroup
	both.Go(func() { l.pump(server, client, &l.up, true, p.delay) })
	both.Go(func() { l.pump(client, server, &l.down, false, 0) })
	both.Wait()
}

func (l *pair) close() {
	_ = l.client.Close()
	_ = l.server.Close()
}

// trackingCommand is in every CLIENT TRACKING, whatever its arguments.
var trackingCommand = []byte("\r\n$8\r\nTRACKING\r\n")

// pump hands on what from sends. Once the connection is stalled it still takes
// everything, and hands on nothing.
func (l *pair) pump(to io.Writer, from io.Reader, mu *sync.Mutex, fromClient bool, delay time.Duration) {
	defer l.close()
	buf := make([]byte, 32<<10)
	var seen []byte // the end of what was sent before, in capitals
	for {
		n, err := from.Read(buf)
		if n > 0 && fromClient && !l.tracking.Load() {
			seen = append(seen, bytes.ToUpper(buf[:n])...)
			l.tracking.Store(bytes.Contains(seen, trackingCommand))
			seen = append(seen[:0], seen[max(0, len(seen)-len(trackingCommand)):]...)
		}
		if n > 0 && err == nil {
			if delay > 0 {
				time.Sleep(delay)
			}
			mu.Lock()
			if !l.stalled.Load() {
				_, err = to.Write(buf[:n])
			}
			mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}

// stall silences the connections that invalidations come over now. When it
// returns nothing more is handed on. It returns how many there are.
func (p *proxy) stall() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.all {
		if !l.tracking.Load() {
			continue
		}
		n++
		l.up.Lock() // waits for what is being handed on
		l.down.Lock()
		l.stalled.Store(true)
		l.down.Unlock()
		l.up.Unlock()
	}
	return n
}

// cut ends the connections that are stalled, and returns how many.
func (p *proxy) cut() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.all {
		if l.stalled.Load() {
			n++
			l.close()
		}
	}
	return n
}

// ServeHTTP takes POST /stall and POST /cut, which ends what is stalled, and
// answers the number of connections.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var n int
	switch r.Method + " " + r.URL.Path {
	case "POST /stall":
		n = p.stall()
	case "POST /cut":
		n = p.cut()
	default:
		http.NotFound(w, r)
		return
	}
	fmt.Fprintf(w, `{"connections":%d}`, n)
}
