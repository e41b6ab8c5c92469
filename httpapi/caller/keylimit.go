package caller

import (
	"crypto/sha256"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// MaxKeyRate bounds the rate and the burst of an API key.
const MaxKeyRate = 1_000_000

// KeyRate limits the requests of one API key, by a token bucket. The zero
// KeyRate has no limit.
type KeyRate struct {
	// PerSecond is how many requests a second the key may send in the long run.
	PerSecond float64 `yaml:"rate"`
	// Burst is how many it may send at once; 0 is twice PerSecond, and at least 1.
	Burst int `yaml:"burst,omitempty"`
}

// burst is Burst, or its default.
func (k KeyRate) burst() int {
	if k.Burst > 0 {
		return k.Burst
	}
	return max(1, int(2*k.PerSecond))
}

// keyLimit is the bucket of one API key. It is safe for concurrent use; nil has
// no limit.
type keyLimit struct {
	rate    KeyRate
	bucket  *rate.Limiter
	refused prometheus.Counter // nil counts nothing
	refusal refusal.Error
}

func newKeyLimit(k KeyRate) *keyLimit {
	k.Burst = k.burst()
	return &keyLimit{
		rate: k, bucket: rate.NewLimiter(rate.Limit(k.PerSecond), k.Burst),
		refusal: refusal.Error{Code: refusal.Exhausted, Text: fmt.Sprintf("the API key is above its limit of %s requests a second, with bursts of %d",
			strconv.FormatFloat(k.PerSecond, 'f', -1, 64), k.Burst)},
	}
}

// take takes a token, or says when there is one again.
func (l *keyLimit) take(now time.Time) error {
	if l == nil || l.bucket.AllowN(now, 1) {
		return nil
	}
	if l.refused != nil {
		l.refused.Inc()
	}
	e := l.refusal
	e.RetryAfter = max(1, int(math.Ceil((1-l.bucket.TokensAt(now))/l.rate.PerSecond)))
	return &e
}

// keyMetrics counts what the limits refuse. Its label is the name of a key in
// the keys file. Nil counts nothing.
type keyMetrics struct{ refused *prometheus.CounterVec }

func newKeyMetrics(r prometheus.Registerer) (*keyMetrics, error) {
	if r == nil {
		return nil, nil
	}
	m := &keyMetrics{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "cloakroom_key_limited_requests_total",
		Help: "Requests refused because their API key was above its rate, by the key's name.",
	}, []string{"key"})}
	return m, r.Register(m.refused)
}

// limited returns k with a bucket for each key that has a limit. A key that
// before had, with the same name and limit, keeps its bucket as it is.
func (k *APIKeys) limited(before *APIKeys, all KeyRate, m *keyMetrics) *APIKeys {
	if k == nil {
		return nil
	}
	after := &APIKeys{byHash: make(map[[sha256.Size]byte]*Caller, len(k.byHash))}
	for hash, c := range k.byHash {
		limited := *c
		limited.limit = nil
		want := all
		if c.rate != nil {
			want = *c.rate
		}
		if want.PerSecond > 0 {
			want.Burst = want.burst()
			if old := before.of(hash); old != nil && old.limit != nil && old.Name == c.Name && old.limit.rate == want {
				limited.limit = old.limit
			} else {
				limited.limit = newKeyLimit(want)
				if m != nil {
					limited.limit.refused = m.refused.WithLabelValues(c.Name)
				}
			}
		}
		after.byHash[hash] = &limited
	}
	if m != nil && before != nil {
		for _, c := range before.byHash {
			if c.limit != nil && !after.limits(c.Name) {
				m.refused.DeleteLabelValues(c.Name)
			}
		}
	}
	return after
}

func (k *APIKeys) of(hash [sha256.Size]byte) *Caller {
	if k == nil {
		return nil
	}
	return k.byHash[hash]
}

// limits says whether a key of this name has a limit.
func (k *APIKeys) limits(name string) bool {
	for _, c := range k.byHash {
		if c.Name == name && c.limit != nil {
			return true
		}
	}
	return false
}
