package httpapi

import (
	"errors"

	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/prometheus/client_golang/prometheus"
)

// Requests that work with the store are of four classes, each with a budget of
// its own of requests at work at a time, so that a flood of one class leaves the
// others alone. No request queues for a place: one that finds none is answered 503 at
// once. What waits for Redis has a place, so a budget bounds that queue, too.
type class uint8

const (
	classNone   class = iota // needs no place
	classRead                // Get, and a verify that no copy answers
	classSearch              // List
	classWrite               // Create, Set, Put, Delete
	classLong                // Import, Revoke
	classes
)

// classNames label the classes in metrics.
var classNames = [classes]string{"none", "read", "search", "write", "long"}

const (
	// defaultMaxInFlight is Config.MaxInFlight.
	defaultMaxInFlight = 1024
	// leastLong is the smallest budget of long requests; more than run at a time.
	leastLong = maxImports + maxRevocations + maxCounts + 2
)

// budgetOf returns how many requests of a class may be at work, where reads have n.
func budgetOf(c class, n int) int {
	switch c {
	case classSearch:
		return max(n/4, 1)
	case classWrite:
		return max(n/2, 1)
	case classLong:
		return max(n/64, leastLong)
	}
	return n
}

var (
	errShed   = &refusal.Error{Code: refusal.Unavailable, Text: "too many requests at a time; try again"}
	errCostly = &refusal.Error{Code: refusal.Unavailable, Text: "too many costly searches at a time; try again, or narrow the search"}
)

// isShed says whether e refuses a request for no other reason than that there are
// too many at a time.
func isShed(e *refusal.Error) bool { return e == errShed || e == errCostly }

// asBusy returns the answer to a search that the index had no turn for, nil for
// other errors.
func asBusy(err error) *refusal.Error {
	if errors.Is(err, index.ErrBusy) {
		return errCostly
	}
	return nil
}

// newBudgets makes the budgets of all classes, and shows them in r if there is one.
func newBudgets(n int, r prometheus.Registerer) (all [classes]*server.Budget, err error) {
	for c := classRead; c < classes; c++ {
		all[c] = &server.Budget{Limit: int64(budgetOf(c, n))}
	}
	if r == nil {
		return all, nil
	}
	shed := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "cloakroom_shed_total",
		Help: "Requests refused at once because too many of their class were at work, by class.",
	}, []string{"class"})
	faults := []error{r.Register(shed)}
	for c := classRead; c < classes; c++ {
		b := all[c]
		b.Shed = shed.WithLabelValues(classNames[c])
		labels := prometheus.Labels{"class": classNames[c]}
		faults = append(faults,
			r.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "cloakroom_in_flight", ConstLabels: labels,
				Help: "Requests that are at work, by class.",
			}, func() float64 { return float64(b.AtWork()) })),
			r.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "cloakroom_in_flight_limit", ConstLabels: labels,
				Help: "Requests that may be at work at a time, by class.",
			}, func() float64 { return float64(b.Limit) })))
	}
	return all, errors.Join(faults...)
}

// shortBody is how long a body may be that is read though its request is
// refused, so that its connection can stay.
const shortBody = 4 << 10

// refuseShed refuses a call that has no place.
func (c *call) refuseShed() error {
	c.place = nil
	c.passBody()
	return errShed
}

// passBody reads the body of a call that is refused, if it is short: else the
// connection ends with the answer. It has no place, or gives it back: its client
// may be slow.
func (c *call) passBody() {
	if n := c.http.Request.Header.ContentLength(); n <= 0 || n > shortBody || server.Expected(c.http) {
		return
	}
	c.place.Leave()
	c.place = nil
	_ = c.readBody(shortBody)
}

// awaitBody reads the body. Meanwhile the call has no place: a client that is
// slow, or sends nothing, keeps nobody else out.
func (c *call) awaitBody(limit int) error {
	if !server.HasBody(&c.http.Request.Header) {
		return c.readBody(limit)
	}
	place := c.place
	place.Leave()
	c.place = nil
	if err := c.readBody(limit); err != nil {
		return err
	}
	if !place.Enter() {
		return errShed
	}
	c.place = place
	return nil
}

// tellShed logs, at most once a second, that requests are refused.
func (s *Server) tellShed() {
	if left, tell := s.shedTold.Tell(); tell {
		s.log.Warn("too many requests at a time: some are refused", "more_since_the_last_line", left)
	}
}
