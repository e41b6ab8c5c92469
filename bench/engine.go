package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	lateAfter = time.Millisecond
	// watchEvery is how often the watchdog looks for answers that do not come.
	watchEvery = 100 * time.Millisecond
	// longestPause bounds how long the dispatcher does not look whether it should stop.
	longestPause = 20 * time.Millisecond
)

// load is one run of the engine.
type load struct {
	target   endpoint
	scenario scenario
	// checking is off for targets that have no truth: the baseline.
	checking bool
	// deepEvery says of how many answers one is checked in full.
	deepEvery int

	rate     float64 // requests/s; 0 is closed loop
	schedule string
	// backlog is how many requests may wait for a free connection.
	backlog        int
	connections    int
	warmup, length time.Duration
	timeout        time.Duration // of an answer
	seed           uint64

	live live
}

// live is what others may look at during a run.
type live struct {
	answered, errors, dropped atomic.Uint64
}

// job is a request that is due.
type job struct {
	due time.Duration // from the begin
	// ours is set if the generator is to blame when it is sent late: a
	// connection was free, or the dispatcher itself was late.
	ours bool
}

func (l *load) open() bool { return l.rate > 0 }

// run sends the load, and returns what happened. An error means that it could
// not begin.
func (l *load) run(ctx context.Context) (*outcome, error) {
	r := rand.New(rand.NewPCG(l.seed, 0))
	var next func() time.Duration
	if l.open() {
		var err error
		if next, err = newSchedule(l.schedule, l.rate, r); err != nil {
			return nil, err
		}
	}
	lanes := make([]*lane, l.connections)
	defer func() {
		for _, lane := range lanes {
			if lane != nil {
				lane.hangUp()
			}
		}
	}()
	for i := range lanes {
		lanes[i] = newLane(l, i)
		if err := lanes[i].dial(ctx); err != nil {
			return nil, err
		}
	}

	// What was cut off by the caller ends by the watchdog, what ended by itself by stop.
	working, stop := context.WithCancel(ctx)
	defer stop()
	end := l.warmup + l.length
	jobs := make(chan job, l.backlog)
	var idle atomic.Int64
	var work, watch sync.WaitGroup
	begin := time.Now()
	for _, lane := range lanes {
		lane.begin = begin
		work.Go(func() {
			if l.open() {
				lane.serve(working, jobs, &idle)
			} else {
				lane.loop(working, end)
			}
		})
	}
	watch.Go(func() { watchdog(working, lanes, l.timeout) })
	o := &outcome{total: newRecorder(l.open(), l.length)}
	if l.open() {
		d := dispatcher{load: l, next: next, jobs: jobs, idle: &idle, begin: begin}
		d.run(ctx, end)
		close(jobs)
		o.due, o.total.dropped, o.lag = d.due, d.dropped, d.lag
	}
	work.Wait()
	o.length = min(time.Since(begin)-l.warmup, l.length)
	o.interrupted = ctx.Err() != nil
	stop()
	watch.Wait()
	for _, lane := range lanes {
		o.total.merge(lane.rec)
	}
	if !l.open() {
		o.due = o.total.sent
	}
	return o, nil
}

// dispatcher hands out requests when they are due.
type dispatcher struct {
	load  *load
	next  func() time.Duration
	jobs  chan<- job
	idle  *atomic.Int64
	begin time.Time

	due, dropped uint64
	lag          time.Duration // the longest that it was late itself
}

func (d *dispatcher) run(ctx context.Context, end time.Duration) {
	defer pausing()()
	for {
		due := d.next()
		if due >= end {
			return
		}
		now := time.Since(d.begin)
		for ; now < due; now = time.Since(d.begin) {
			if ctx.Err() != nil {
				return
			}
			pause(min(due-now, longestPause))
		}
		lag := now - due
		measured := due >= d.load.warmup
		free := d.idle.Load() > int64(len(d.jobs))
		select {
		case d.jobs <- job{due: due, ours: free || lag > lateAfter}:
		default:
			if measured {
				d.dropped++
				d.load.live.dropped.Add(1)
			}
		}
		if measured {
			d.due++
			d.lag = max(d.lag, lag)
		}
	}
}

// watchdog cuts off lanes whose answer does not come in time, and all of them
// when ctx ends.
func watchdog(ctx context.Context, lanes []*lane, timeout time.Duration) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			for _, lane := range lanes {
				lane.cutOff()
			}
			return
		case <-tick.C:
			for _, lane := range lanes {
				if since := lane.busySince.Load(); since != 0 && time.Since(lane.begin)-time.Duration(since) > timeout {
					lane.cutOff()
				}
			}
		}
	}
}

// outcome is what a run of the engine came to.
type outcome struct {
	total       *recorder
	due         uint64
	lag         time.Duration
	length      time.Duration // measured
	interrupted bool
}

// allowedLate is which part of the requests the generator may send late by its
// own fault before the run proves nothing.
const allowedLate = 0.01

// invalid says why the run proves nothing, "" if it does.
func (o *outcome) invalid() string {
	switch t := o.total; {
	case o.interrupted:
		return "interrupted"
	case t.answered == 0:
		return "nothing was answered"
	case t.lateOurs > 10 && float64(t.lateOurs) > allowedLate*float64(o.due):
		return fmt.Sprintf("the generator was the bottleneck: it sent %d of %d requests more than %v late by its own fault, up to %v",
			t.lateOurs, o.due, lateAfter, o.lag.Round(10*time.Microsecond))
	}
	return ""
}

var errNoAnswer = errors.New("no answer in time")
