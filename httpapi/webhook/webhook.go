// Package webhook reads events that a ZITADEL sends by itself (its Actions v2): whether the signature of one is good and new, and
// what it says. Package httpapi has the route, and hands good events on. Look here for the form of the signature (signature.go)
// and of the events (event.go).
//
// Everybody may send, so nothing is kept for a body before its headers are in order, and nothing of it is read before its
// signature is good. The payload of an event, which may have the hash of a password, is passed over. (I6)
package webhook

import (
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/upstream"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	// Path is where ZITADEL sends events.
	Path = "/events/zitadel"
	// MaxBody is the size of the largest event, in bytes. ZITADEL takes 500,000 bytes as a value of metadata; in an event
	// that is base64, in older versions base64 of base64: about 890,000.
	MaxBody = 1 << 20
	// SmallBody is the size of the largest event that needs no place: those that were recorded have 300 to 500 bytes. A
	// stranger who keeps all places occupied keeps out large ones alone.
	SmallBody = 16 << 10
	// Places is how many larger events may be under way at a time.
	Places = 8
)

var (
	errBusy      = &refusal.Error{Code: refusal.Unavailable, Text: "too many large events are under way", Close: true}
	errFull      = &refusal.Error{Code: refusal.Unavailable, Text: "too many events wait to be applied"}
	errNoBody    = &refusal.Error{Code: refusal.Invalid, Text: "the body is no event of ZITADEL's: it must be a JSON object with members as its Actions v2 send them"}
	errSignature = &refusal.Error{Code: refusal.Unauthorised, Text: "ZITADEL-Signature: it is by none of the keys in --upstream-event-key-file", Guessed: true}
	errStale     = &refusal.Error{Code: refusal.Unauthorised, Text: fmt.Sprintf("ZITADEL-Signature: t is more than %d seconds from our time", tolerance/time.Second)}
)

// ErrBusy refuses a large event, for there is no place for it.
func ErrBusy() error { return errBusy }

// Config says how events are taken. All but Metrics is required.
type Config struct {
	// Keys are those that may sign.
	Keys func() *upstream.EventKeys
	// Clock is the store's: whether a signature is young is said by the same clock in all processes, as of tokens of
	// issuers. It goes on while Redis is away. (I1)
	Clock func() time.Time
	// Take takes an event, to be applied soon, and says whether it does. It does not wait.
	Take func(upstream.Event) bool
	// Metrics takes the metrics; nil: nobody sees them.
	Metrics prometheus.Registerer
}

// Receiver takes events. It is safe for concurrent use.
type Receiver struct {
	Config
	results  *prometheus.CounterVec
	replayed replays
}

// The results of a delivery, as metrics name them.
const (
	resultOK        = "ok"
	resultReplay    = "replay"
	resultSignature = "bad_signature"
	resultStale     = "stale"
	resultFull      = "full"
	resultMalformed = "malformed"
)

// New returns a Receiver. Its error is that of a metric that is there already.
func New(c Config) (*Receiver, error) {
	r := &Receiver{Config: c, results: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "cloakroom_upstream_deliveries_total",
		Help: "Events that ZITADEL, or somebody else, has sent to the webhook, by result.",
	}, []string{"result"})}
	for _, result := range []string{resultOK, resultReplay, resultSignature, resultStale, resultFull, resultMalformed} {
		r.results.WithLabelValues(result)
	}
	if c.Metrics == nil {
		return r, nil
	}
	return r, c.Metrics.Register(r.results)
}

// Deliver takes an event with this signature, and queues it. A replay is passed over: what it does would only be done again,
// but each may cost a question to ZITADEL.
func (r *Receiver) Deliver(s *Signature, body []byte) error {
	name, ok := s.by(r.Keys(), body)
	if !ok {
		return errSignature
	}
	e, err := decode(body)
	if err != nil {
		return errNoBody // which repeats nothing of it
	}
	if e.Aggregate == "" {
		r.results.WithLabelValues(resultOK).Inc() // it says of nothing that it has changed
		return nil
	}
	switch r.replayed.once(name, func() bool { return r.Take(e) }) {
	case seenBefore:
		r.results.WithLabelValues(resultReplay).Inc()
	case notTaken:
		return errFull
	case taken:
		r.results.WithLabelValues(resultOK).Inc()
	}
	return nil
}

// Refused counts an event that is refused with err.
func (r *Receiver) Refused(err error) {
	result := resultMalformed
	switch {
	case errors.Is(err, errSignature):
		result = resultSignature
	case errors.Is(err, errStale):
		result = resultStale
	case errors.Is(err, errFull), errors.Is(err, errBusy):
		result = resultFull
	}
	r.results.WithLabelValues(result).Inc()
}
