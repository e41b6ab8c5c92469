// Package load sends requests to one program over many connections, by a schedule
// or each when the last is answered, and records what comes back and when. Look
// here when you doubt a latency, or that the generator was not what was slow.
package load

import (
	"context"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

const (
	lateAfter = time.Millisecond
	// longestWait bounds how long the engine does not look whether it should stop.
	longestWait = 20 * time.Millisecond
	// redialAfter is how long a sender stays away after its connection failed.
	redialAfter = 100 * time.Millisecond
	// deepQueue is how many answers may wait to be checked in full. More are not.
	deepQueue = 64
)

// Load is one run of the engine. Its fields are set before Run and not changed after.
type Load struct {
	Target   Endpoint
	Scenario Scenario
	// Checking is off for targets that have no truth: the baseline.
	Checking bool
	// DeepEvery says of how many answers one is checked in full; 0 none.
	DeepEvery int

	Rate     float64 // requests/s that are due; 0 is a closed loop
	Schedule string  // of an open loop: constant, poisson, burst
	// Backlog is how many due requests may wait for a free connection. More are dropped.
	Backlog        int
	Connections    int
	Warmup, Length time.Duration // only what is due within Length, after Warmup, counts
	Timeout        time.Duration // of an answer
	Seed           uint64        // of the schedule, and of what the connections send
	// Shedding counts answers that shed a request apart: they are no errors.
	Shedding bool
	// Urgent lets an open loop go before all other programs, where that is permitted.
	Urgent bool

	Live Live
}

// Live counts all requests of a run so far, those of the warm-up, too. Others may
// look at it during the run.
type Live struct {
	Answered, Errors, Dropped atomic.Uint64
}

// Open says whether requests fall due however slow the answers are.
func (l *Load) Open() bool { return l.Rate > 0 }

// Run sends the load until it is done or ctx ends, waits for its answers, and
// returns what happened. An error means that it could not begin, or that the poller
// failed. It is called once. One thread does it all, so that nothing is locked, and no request
// waits for a goroutine to be scheduled.
func (l *Load) Run(ctx context.Context) (*Outcome, error) {
	e := &engine{load: l, rec: newRecorder(l.Open(), l.Length), dialed: make(chan dialed, l.Connections), end: l.Warmup + l.Length}
	if l.Open() {
		next, err := newSchedule(l.Schedule, l.Rate, NewRand(l.Seed, 0))
		if err != nil {
			return nil, err
		}
		e.next = next
	}
	var err error
	if e.poll, err = newPoller(); err != nil {
		return nil, err
	}
	defer e.poll.close()
	defer e.hangUp()
	for i := range l.Connections {
		e.senders = append(e.senders, newSender(e, i))
	}
	for _, sender := range e.senders {
		s, err := e.connect(ctx)
		if err == nil {
			err = sender.connected(s)
		}
		if err != nil {
			return nil, err
		}
	}

	var deep sync.WaitGroup
	var wrong atomic.Uint64
	e.deep = make(chan func() error, deepQueue)
	deep.Go(func() { e.firstWrong = checkDeep(e.deep, &wrong) })
	defer collectLittle()()
	hurried := false
	if l.Open() && l.Urgent {
		slow, ok := hurry()
		defer slow()
		hurried = ok
	}
	e.begin = time.Now()
	err = e.work(ctx)
	length := min(time.Since(e.begin)-l.Warmup, l.Length)
	close(e.deep)
	deep.Wait()
	if err != nil {
		return nil, err
	}
	e.rec.wrong += wrong.Load()
	e.rec.note(e.firstWrong)
	o := &Outcome{total: e.rec, due: e.due, lag: e.lag, length: length, interrupted: ctx.Err() != nil, Hurried: hurried}
	if !l.Open() {
		o.due = e.rec.sent
	}
	return o, nil
}

// collectLittle makes garbage collections rare until the function that it
// returns is called: one stops the engine, and waits for threads that do not hurry.
func collectLittle() (end func()) {
	const enough = 512 << 20
	percent, limit := debug.SetGCPercent(-1), debug.SetMemoryLimit(enough)
	return func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}
}

// connect opens a connection.
func (e *engine) connect(ctx context.Context) (socket, error) {
	ctx, cancel := context.WithTimeout(ctx, e.load.Timeout)
	defer cancel()
	conn, err := e.load.Target.Dial(ctx)
	if err != nil {
		return noSocket, err
	}
	return takeSocket(conn, &e.bridges)
}

// checkDeep runs checks until there are no more.
func checkDeep(checks <-chan func() error, wrong *atomic.Uint64) (first string) {
	for check := range checks {
		if err := check(); err != nil {
			if wrong.Add(1) == 1 {
				first = "wrong: " + err.Error()
			}
		}
	}
	return first
}

// engine is a load that runs.
type engine struct {
	load    *Load
	poll    *poller
	senders []*sender
	free    []*sender // connected, without a request
	begin   time.Time
	end     time.Duration // when the last request may be due
	rec     *recorder

	next    func() time.Duration // when the next request is due
	waiting []time.Duration      // due, without a connection
	due     uint64
	lag     time.Duration // the longest that the engine itself was late
	busy    int           // senders that await an answer

	dialing    int
	dials      sync.WaitGroup
	bridges    sync.WaitGroup // see takeSocket
	dialed     chan dialed
	deep       chan func() error
	firstWrong string
}

// dialed is a sender's new connection, or that there is none.
type dialed struct {
	sender *sender
	socket socket
	err    error
}

func (e *engine) now() time.Duration { return time.Since(e.begin) }

// work sends requests until the end, and waits for their answers.
func (e *engine) work(ctx context.Context) error {
	var nextDue time.Duration
	if e.load.Open() {
		nextDue = e.next()
	}
	var lookedAt time.Duration
	for ctx.Err() == nil {
		now := e.now()
		if now-lookedAt > longestWait {
			lookedAt = now
			e.cutOff(now)
			e.takeDialed()
		}
		var due time.Duration
		if e.load.Open() {
			for ; nextDue <= now && nextDue < e.end; nextDue = e.next() {
				e.arrive(nextDue, now)
			}
			if nextDue < e.end {
				due = nextDue
			} else if e.busy == 0 && len(e.waiting) == 0 || now > e.end+e.load.Timeout {
				break
			}
		} else {
			for now < e.end && len(e.free) > 0 {
				e.takeFree().send(now, now)
				now = e.now()
			}
			if now >= e.end && e.busy == 0 {
				break
			}
		}
		if err := e.poll.wait(e.now(), due, func(token int) { e.senders[token].ready() }); err != nil {
			return err
		}
	}
	for _, due := range e.waiting { // too late for them
		e.drop(due)
	}
	return nil
}

// arrive sends a request that is due, lets it wait for a connection, or drops it.
func (e *engine) arrive(due, now time.Duration) {
	lag := now - due
	if e.measured(due) {
		e.due++
		e.lag = max(e.lag, lag)
		if lag > lateAfter {
			e.rec.lateOurs++
		}
	}
	switch {
	case len(e.free) > 0:
		e.takeFree().send(due, e.now())
	case len(e.waiting) < e.load.Backlog:
		e.waiting = append(e.waiting, due)
	default:
		e.drop(due)
	}
}

func (e *engine) drop(due time.Duration) {
	e.load.Live.Dropped.Add(1)
	if e.measured(due) {
		e.rec.dropped++
	}
}

// measured says whether a request that is due then counts.
func (e *engine) measured(due time.Duration) bool { return due >= e.load.Warmup }

func (e *engine) takeFree() *sender {
	sender := e.free[0]
	copy(e.free, e.free[1:])
	e.free = e.free[:len(e.free)-1]
	return sender
}

// release gives a sender, which has its answer, its next request.
func (e *engine) release(sr *sender) {
	now := e.now()
	switch {
	case e.load.Open() && len(e.waiting) > 0:
		due := e.waiting[0]
		copy(e.waiting, e.waiting[1:])
		e.waiting = e.waiting[:len(e.waiting)-1]
		sr.send(due, now)
	case !e.load.Open() && now < e.end:
		sr.send(now, now)
	default:
		e.free = append(e.free, sr)
	}
}

// cutOff gives up answers that do not come.
func (e *engine) cutOff(now time.Duration) {
	for _, sr := range e.senders {
		if sr.busy && now-sr.sent > e.load.Timeout {
			sr.fail("no answer in time")
		}
	}
}

// redial connects a sender again, in the background.
func (e *engine) redial(sr *sender, after time.Duration) {
	e.dialing++
	e.dials.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), e.load.Timeout)
		defer cancel()
		if after > 0 {
			timer := time.NewTimer(after)
			defer timer.Stop()
			<-timer.C
		}
		s, err := e.connect(ctx)
		e.dialed <- dialed{sender: sr, socket: s, err: err}
	})
}

func (e *engine) takeDialed() {
	for e.dialing > 0 {
		select {
		case d := <-e.dialed:
			e.dialing--
			err := d.err
			if err == nil {
				err = d.sender.connected(d.socket)
			}
			if err != nil {
				e.rec.note(err.Error())
				e.redial(d.sender, redialAfter)
			}
		default:
			return
		}
	}
}

// hangUp closes all connections.
func (e *engine) hangUp() {
	e.dials.Wait()
	for ; e.dialing > 0; e.dialing-- {
		if d := <-e.dialed; d.err == nil {
			d.socket.close()
		}
	}
	for _, sr := range e.senders {
		sr.disconnect()
	}
	e.bridges.Wait()
}

// NewRand returns one of a seed's streams, for one goroutine.
func NewRand(seed, stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }
