package upstream

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

const (
	// opensAfter is how many failures in a row open the breaker.
	opensAfter = 5
	// rest is how long an open breaker lets no call through; then one at a time.
	rest = time.Second
)

// errNothingShown is the verdict on a call that does not show whether ZITADEL serves.
var errNothingShown = errors.New("the call shows nothing about zitadel")

// circuit keeps calls from waiting for a ZITADEL that is away. init makes it.
type circuit struct {
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]
	log     *slog.Logger
	away    atomic.Bool // from the first opening until it closes
	// went wakes Client.Run when away becomes true.
	went chan struct{}
	last atomic.Pointer[string]
	// served is when the last answer came that shows that ZITADEL serves, as Unix time in nanoseconds; 0: none yet.
	served atomic.Int64
}

func (c *circuit) init(log *slog.Logger) {
	c.log, c.went = log, make(chan struct{}, 1)
	c.breaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Timeout:       rest,
		ReadyToTrip:   func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= opensAfter },
		IsSuccessful:  func(err error) bool { return err == nil },
		IsExcluded:    func(err error) bool { return errors.Is(err, errNothingShown) },
		OnStateChange: func(_ string, _, to gobreaker.State) { c.changed(to) },
	})
}

// changed tells of a change, once however often it is tried in between.
func (c *circuit) changed(to gobreaker.State) {
	switch {
	case to == gobreaker.StateOpen && c.away.CompareAndSwap(false, true):
		c.log.Warn("zitadel is away: calls are refused until it answers again", "error", c.fault())
		select {
		case c.went <- struct{}{}:
		default: // Run will wake for an earlier one
		}
	case to == gobreaker.StateClosed && c.away.CompareAndSwap(true, false):
		c.log.Info("zitadel answers again")
	}
}

// Run asks a ZITADEL that is away whether it is back, once a second until it answers, and until ctx ends; then it returns
// nil. While it is not away Run asks nothing. Without Run a process that makes no calls does not find out.
func (c *Client) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.circuit.went:
		}
		for c.circuit.away.Load() {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(max(rest, c.pauses.left(true, time.Now()))):
			}
			if c.circuit.away.Load() {
				// Not its health: ZITADEL calls itself healthy while its database is away.
				_ = c.CheckCredentials(ctx)
			}
		}
	}
}

// open is the error of calls while the breaker lets none through, else nil.
func (c *circuit) open() error {
	if c.breaker.State() == gobreaker.StateOpen {
		return c.refusal()
	}
	return nil
}

// allow lets a call through, which must then give its verdict to done.
func (c *circuit) allow() (done func(error), err error) {
	if done, err = c.breaker.Allow(); err != nil {
		return nil, c.refusal()
	}
	return done, nil
}

func (c *circuit) refusal() error {
	return &UnavailableError{Reason: "its last calls failed, so this one was not sent: " + c.fault(), refused: true}
}

// fault is why the last call failed that did.
func (c *circuit) fault() string {
	if last := c.last.Load(); last != nil {
		return *last
	}
	return ""
}

// failed is the verdict on a call that has failed for a reason.
func (c *circuit) failed(reason string) error {
	c.last.Store(&reason)
	return errors.New(reason)
}

// answered is the verdict on a call that was answered. An answer is no failure, unless it says that
// ZITADEL, or what it needs, is away. What it answers to one wrong call is none: of those, 500 and
// 504 can be had on purpose.
func (c *circuit) answered(a *Answer) error {
	switch {
	case a.Status < http.StatusInternalServerError:
		c.served.Store(a.Sent.UnixNano())
		return nil
	case a.Status == http.StatusBadGateway, a.Status == http.StatusServiceUnavailable:
		return c.failed(statusReason(a.Status))
	case a.Status == http.StatusInternalServerError, a.Status == http.StatusGatewayTimeout:
		if _, ok := a.problem(); !ok { // of a proxy
			return c.failed(statusReason(a.Status))
		}
	}
	return errNothingShown
}
