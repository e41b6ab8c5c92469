package experiment

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/result"
	"github.com/cloakroom-dev/cloakroom/bench/scenario"
	"github.com/cloakroom-dev/cloakroom/bench/source"
)

// crowd measures gets at --rate alone, and then beside very many connections: some
// that send nothing, and some that send a byte of a request now and then.
type crowd struct {
	source *source.Source
	flags  *Flags
	meters *source.Meters
}

// trickle is how long a slow connection waits before its next byte.
const trickle = 500 * time.Millisecond

func (c *crowd) ownLoad() {}

func (c *crowd) run(ctx context.Context, seconds float64, run *result.Run) error {
	gets := source.LoadSpec{Scenario: c.flags.background, Rate: c.source.Flags.Rate, Connections: c.source.Flags.Connections, Urgent: true}
	memory := func(name string) {
		if bytes, ok := c.meters.Read(ctx)["process_resident_memory_bytes"]; ok {
			run.Figures[name] = bytes / (1 << 20)
		}
	}
	_, quiet, err := c.source.RunLoad(ctx, gets, seconds, c.source.Flags.Seed)
	if err != nil {
		return err
	}
	memory("resident_alone_mib")
	crowdCtx, leave := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer leave()
	var cut atomic.Int64
	for n := range c.flags.idle + c.flags.slow {
		conn, err := c.source.Target.Dial(ctx)
		if err != nil {
			return err
		}
		all.Go(func() {
			defer conn.Close()
			if n < c.flags.idle {
				<-crowdCtx.Done()
				return
			}
			if c.trickle(crowdCtx, conn) {
				cut.Add(1)
			}
		})
	}
	_, busy, err := c.source.RunLoad(ctx, gets, seconds, c.source.Flags.Seed+1)
	if err != nil {
		return err
	}
	memory("resident_beside_mib")
	run.Figures["idle_connections"], run.Figures["slow_connections"] = float64(c.flags.idle), float64(c.flags.slow)
	run.Figures["slow_connections_cut"] = float64(cut.Load())
	run.Figures["get_p99_alone_ms"], run.Figures["get_p99_beside_ms"] = quiet.Latency.P99/1000, busy.Latency.P99/1000
	run.Figures["get_failed"] = float64(quiet.Errors + quiet.Dropped + busy.Errors + busy.Dropped)
	run.Mode, run.Rate, run.Seconds = "open", c.source.Flags.Rate, busy.Seconds
	run.Due, run.Answered, run.Errors, run.Wrong, run.Dropped = busy.Due, busy.Answered, busy.Errors, busy.Wrong, busy.Dropped
	run.Achieved, run.Latency, run.Service = busy.Achieved, busy.Latency, busy.Service
	run.FirstError = busy.FirstError
	for _, r := range []*result.Run{quiet, busy} {
		if r.Invalid != "" && run.Invalid == "" {
			run.Invalid = r.Invalid
		}
	}
	return nil
}

// trickle sends a request byte by byte, until the server cuts the connection
// (true) or ctx ends.
func (c *crowd) trickle(ctx context.Context, conn net.Conn) (cut bool) {
	request := c.source.Config.Get("/v2/sessions/" + scenario.SessionID(0))
	for i := 0; ; i++ {
		if _, err := conn.Write(request[i%(len(request)-4):][:1]); err != nil { // never its end
			return true
		}
		_ = conn.SetReadDeadline(time.Now().Add(trickle))
		_, err := io.Copy(io.Discard, conn)
		var timeout net.Error
		switch {
		case ctx.Err() != nil:
			return false
		case !errors.As(err, &timeout) || !timeout.Timeout():
			return true // it answered, and closed
		}
	}
}
