package zitadeltest

import (
	"context"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
)

// The calls, as Settings, Fail, Hold and Count name them. Any names all of them, and Other those that have no name here.
const (
	Any            = ""
	ListSessions   = "ListSessions"
	GetSession     = "GetSession"
	CreateSession  = "CreateSession"
	SetSession     = "SetSession"
	DeleteSession  = "DeleteSession"
	ListEvents     = "ListEvents"
	Token          = "Token"
	Users          = "Users"
	GetMyUser      = "GetMyUser"
	CreateTarget   = "CreateTarget"
	SearchTargets  = "SearchTargets"
	DeleteTarget   = "DeleteTarget"
	SetExecution   = "SetExecution"
	ListExecutions = "ListExecutions"
	Other          = "Other"
)

// Settings are what a test may change while the server runs, with Change. The zero Settings are those of a fast ZITADEL in whose
// lists every write is at once.
type Settings struct {
	// Latency is how long a call takes before it is decided; Any stands for the calls that are not named.
	Latency map[string]func() time.Duration
	// Work is how long one of Workers works on a call; Any stands for the calls that are not named. Calls wait for a free worker
	// in the order in which they come, so that they take longer where more come. It is worked on what a caller no longer waits
	// for, too.
	Work map[string]func() time.Duration
	// Workers is how many calls are worked on at the same time; 0 is one.
	Workers int
	// FailureRate is which share of a call's requests fail, from 0 to 1, with Failure.
	FailureRate map[string]float64
	Failure     Failure
	// ListLag is how late lists are: as long after a write, ListSessions answers as if it had not happened. GetSession is never late.
	ListLag time.Duration
	// HoldLists keeps lists as they are.
	HoldLists bool
	// RelationalTables is the feature enableRelationalTables: lists have no sequence, their totalResult is the page's length, no
	// IDs at all are an error, and callers without permission see all sessions in lists.
	RelationalTables bool
	// DefaultListLimit and MaxListLimit are of ListSessions; 0 is none, as recorded. Newer settings of ZITADEL have 100 and 1000.
	DefaultListLimit, MaxListLimit uint32
	// Host is the only Host header whose instance is found; empty: any. What is answered to others was not recorded.
	Host string
	// DenyPrivateTargets refuses targets with private addresses, as ZITADEL's default HTTPClient.DenyList does.
	DenyPrivateTargets bool
	// Payload is the form of events that are sent.
	Payload PayloadForm
	// EventDelay is how long after it happened an event is sent, at least.
	EventDelay time.Duration
	// Fate decides what becomes of an event that is to be sent. It must not call the server. Without it all are sent, in order.
	Fate func(Event) Fate
	// SearchDelay is how long after its date an event is first found by the event search; it must not call the server. So
	// transactions that are committed in another order than that of their dates look from outside. GetSession is never late.
	SearchDelay func(Event) time.Duration
	// Decided is called when a call is decided, and before it is answered: whatever it does comes between ZITADEL's reading
	// and its answer.
	Decided func(Call)
}

// PayloadForm is the form of an event that is sent.
type PayloadForm int

// CurrentPayload is as recorded. OlderPayload has the payload as base64 of JSON, and dates in whole seconds.
const (
	CurrentPayload PayloadForm = iota
	OlderPayload
)

// Fate is what becomes of an event that is to be sent; the zero Fate is that it is sent once, in its turn.
type Fate struct {
	// Lost is never sent.
	Lost bool
	// Copies is how often it is sent besides.
	Copies int
	// Behind is how many later events are sent before it; if none come, it is not sent.
	Behind int
}

// Call is a call that was decided.
type Call struct {
	Name string
	// SessionID is the session's, if the call is for one and its request is REST or JSON.
	SessionID string
	Status    int
}

// Failure is an answer in place of ZITADEL's.
type Failure struct {
	// Status is its HTTP status, 500 if 0.
	Status int
	// ErrorID is ZITADEL's ID of the error; empty: none.
	ErrorID string
	// RetryAfter is the header's value, absent if empty.
	RetryAfter string
	// Late fails after the call has done its work, which so happens, though the caller is not told.
	Late bool
	// Cut answers nothing, and closes the connection.
	Cut bool
}

// control is what a test has asked for.
type control struct {
	mu       sync.Mutex
	settings Settings
	counts   map[string]int
	failures map[string][]Failure // by call, the next first
	holds    []*Hold
	workers  workers
	running  sync.WaitGroup // of handlers
	stopped  bool
}

// begin says whether a handler may run; then it must call running.Done.
func (c *control) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopped {
		c.running.Add(1)
	}
	return !c.stopped
}

func (c *control) stop(stopped bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = stopped
}

// Change changes the settings. Calls that run may use those before or those after.
func (s *Server) Change(change func(*Settings)) {
	s.control.mu.Lock()
	defer s.control.mu.Unlock()
	next := s.control.settings
	next.Latency, next.Work, next.FailureRate = maps.Clone(next.Latency), maps.Clone(next.Work), maps.Clone(next.FailureRate)
	change(&next)
	s.control.settings = next
}

func (c *control) now() Settings {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.settings
}

// Fail lets the next n requests of a call fail.
func (s *Server) Fail(call string, n int, failure Failure) {
	s.control.mu.Lock()
	defer s.control.mu.Unlock()
	for range n {
		s.control.failures[call] = append(s.control.failures[call], failure)
	}
}

// Recover forgets the failures that no call has met yet.
func (s *Server) Recover() {
	s.control.mu.Lock()
	defer s.control.mu.Unlock()
	clear(s.control.failures)
}

// failure returns how this request must fail, if it must.
func (c *control) failure(call string) (Failure, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range []string{call, Any} {
		if next := c.failures[name]; len(next) > 0 {
			c.failures[name] = next[1:]
			return next[0], true
		}
	}
	rate, named := c.settings.FailureRate[call]
	if !named {
		rate = c.settings.FailureRate[Any]
	}
	return c.settings.Failure, rate > 0 && rand.Float64() < rate
}

// Count is how many requests of a call have come.
func (s *Server) Count(call string) int {
	s.control.mu.Lock()
	defer s.control.mu.Unlock()
	if call != Any {
		return s.control.counts[call]
	}
	n := 0
	for _, count := range s.control.counts {
		n += count
	}
	return n
}

// WaitFor waits until n requests of a call have come.
func (s *Server) WaitFor(call string, n int) {
	s.test().Helper()
	eventually.Holds(s.test(), call+" is called", func() bool { return s.Count(call) >= n })
}

func (c *control) count(call string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[call]++
}

// Hold keeps back answers to calls that are decided already.
type Hold struct {
	s        *Server
	match    func(Call) bool
	released chan struct{}
	held     int // guarded by control.mu
}

// Hold keeps back the answers to a call from now on, until Release.
func (s *Server) Hold(call string) *Hold {
	return s.HoldIf(func(c Call) bool { return call == Any || c.Name == call })
}

// HoldIf is Hold for the calls for which match returns true; it must not call the server.
func (s *Server) HoldIf(match func(Call) bool) *Hold {
	h := &Hold{s: s, match: match, released: make(chan struct{})}
	s.control.mu.Lock()
	defer s.control.mu.Unlock()
	s.control.holds = append(s.control.holds, h)
	return h
}

// Wait waits until n answers have been kept back, those of callers that left included.
func (h *Hold) Wait(n int) {
	h.s.test().Helper()
	eventually.Holds(h.s.test(), "an answer is held", func() bool {
		h.s.control.mu.Lock()
		defer h.s.control.mu.Unlock()
		return h.held >= n
	})
}

// Release sends what was kept back, and keeps back nothing more. A second one does nothing.
func (h *Hold) Release() {
	h.s.control.mu.Lock()
	defer h.s.control.mu.Unlock()
	for i, known := range h.s.control.holds {
		if known == h {
			h.s.control.holds = append(h.s.control.holds[:i:i], h.s.control.holds[i+1:]...)
			close(h.released)
			return
		}
	}
}

func (c *control) releaseAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range c.holds {
		close(h.released)
	}
	c.holds = nil
}

// await waits while a call's answer is kept back; false if its caller leaves.
func (c *control) await(ctx context.Context, call Call) bool {
	for {
		h := c.holding(call)
		if h == nil {
			return true
		}
		select {
		case <-h.released:
		case <-ctx.Done():
			return false
		}
	}
}

func (c *control) holding(call Call) *Hold {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range c.holds {
		if h.match(call) {
			h.held++
			return h
		}
	}
	return nil
}
