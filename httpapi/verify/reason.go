package verify

import (
	"net/http"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/prometheus/client_golang/prometheus"
)

// reason is how a verify ended. One set serves the header X-Auth-Reason, the
// label of the metric and the field in the log.
type reason uint8

const (
	reasonGood  reason = iota // 200
	reasonStale               // 200, though the store is away
	reasonMissing
	reasonMalformed
	reasonNotFound
	reasonExpired
	reasonRevoked
	reasonWrongToken
	reasonInvalidJWT
	reasonUnproven
	reasonPredicate
	reasonTooLarge
	reasonUnavailable
	reasonIssuer
	reasonOverloaded
	reasonProbes
	reasons
)

// refusals are the reasons as they are answered.
var refusals = [reasons]struct {
	name   string
	status int
	detail string
}{
	reasonGood:       {"good", http.StatusOK, ""},
	reasonStale:      {"stale", http.StatusOK, ""},
	reasonMissing:    {"missing", http.StatusUnauthorized, "there is no session token"},
	reasonMalformed:  {"malformed", http.StatusUnauthorized, "the session token, or the request, is malformed"},
	reasonNotFound:   {"not_found", http.StatusUnauthorized, "no session has this token"},
	reasonExpired:    {"expired", http.StatusUnauthorized, "the session has expired"},
	reasonRevoked:    {"revoked", http.StatusUnauthorized, "the session was revoked"},
	reasonWrongToken: {"wrong_token", http.StatusUnauthorized, "the session has another token now"},
	reasonInvalidJWT: {"invalid_jwt", http.StatusUnauthorized, "the JWT is not good: its signature, or what it says"},
	// A user who has only typed a name is about to log in: gateways send users to
	// the login for a 401, not for a 403.
	reasonUnproven:    {"predicate", http.StatusUnauthorized, "the session's user has not proven anything yet"},
	reasonPredicate:   {"predicate", http.StatusForbidden, "the session does not prove what is asked for"},
	reasonTooLarge:    {"too_large", http.StatusForbidden, "the headers of the request are too large, or too many"},
	reasonUnavailable: {"store_unavailable", http.StatusServiceUnavailable, "the session store is unavailable"},
	reasonIssuer:      {"issuer_unavailable", http.StatusServiceUnavailable, "the issuer of the token is unavailable"},
	reasonOverloaded:  {"overloaded", http.StatusServiceUnavailable, "too many requests at a time"},
	reasonProbes:      {"probe_limit", http.StatusServiceUnavailable, "too many tokens that are not known here"},
}

func (r reason) String() string { return refusals[r].name }

func (r reason) passes() bool { return r == reasonGood || r == reasonStale }

// unknown says that it is not known what the token is worth. (I2)
func (r reason) unknown() bool { return r == reasonUnavailable || r == reasonIssuer }

// metrics counts verifies. A nil *metrics counts nothing.
type metrics struct {
	counts [reasons]prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	if r == nil {
		return nil, nil
	}
	counts := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "cloakroom_verify_total",
		Help: "Verifies answered, by reason: good and stale let pass, the others refused.",
	}, []string{"reason"})
	if err := r.Register(counts); err != nil {
		return nil, err
	}
	m := new(metrics)
	for i := range m.counts {
		m.counts[i] = counts.WithLabelValues(reason(i).String())
	}
	return m, nil
}

// answered counts a verify, as a request of route, too.
func (m *metrics) answered(why reason, route *server.RouteMetrics, took time.Duration) {
	if m != nil {
		m.counts[why].Inc()
		route.Answered(refusals[why].status, took)
	}
}
