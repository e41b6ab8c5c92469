package load

import (
	"math/bits"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/cloakroom-dev/cloakroom/bench/result"
)

// recorder is what a run writes down.
type recorder struct {
	latency, service *hdrhistogram.Histogram // service is nil if it is the latency

	sent, answered, errors, wrong, late, dropped uint64
	lateOurs                                     uint64                  // seen late by the generator
	sheds                                        uint64                  // refused because there were too many
	shed                                         *hdrhistogram.Histogram // their service time; nil before the first
	bytes                                        uint64
	series                                       []second
	firstError                                   string
}

func newRecorder(open bool, length time.Duration) *recorder {
	r := &recorder{latency: result.NewHistogram(), series: make([]second, int((length+time.Second-1)/time.Second))}
	if open {
		r.service = result.NewHistogram()
	}
	return r
}

// answer records an answer; at counts from the begin of the measurement.
func (r *recorder) answer(at, latency, service time.Duration) {
	r.answered++
	_ = r.latency.RecordValue(int64(min(max(latency, 0), result.Longest)))
	if r.service != nil {
		_ = r.service.RecordValue(int64(min(max(service, 0), result.Longest)))
	}
	if s := r.second(at); s != nil {
		s.answered++
		s.times.add(latency)
	}
}

// refused records an answer that sheds the request.
func (r *recorder) refused(service time.Duration) {
	if r.shed == nil {
		r.shed = result.NewHistogram()
	}
	r.sheds++
	_ = r.shed.RecordValue(int64(min(max(service, 0), result.Longest)))
}

// fail records a request without an answer that counts.
func (r *recorder) fail(at time.Duration, cause string) {
	r.errors++
	if s := r.second(at); s != nil {
		s.errors++
	}
	r.note(cause)
}

func (r *recorder) note(cause string) {
	if r.firstError == "" {
		r.firstError = cause
	}
}

func (r *recorder) second(at time.Duration) *second {
	if i := int(at / time.Second); at >= 0 && i < len(r.series) {
		return &r.series[i]
	}
	return nil
}

// second is one second of a run.
type second struct {
	answered, errors uint64
	times            coarse
}

func (s *second) point(i int) result.Point {
	return result.Point{
		Second: i, Answered: s.answered, Errors: s.errors,
		P50: result.Micros(s.times.quantile(0.50)), P99: result.Micros(s.times.quantile(0.99)), Max: result.Micros(s.times.max),
	}
}

// coarse is a histogram that is small enough for each second of a long run: its
// buckets are 1/16 to 1/32 of their value wide.
type coarse struct {
	counts []uint32
	max    time.Duration
}

const (
	coarseBits  = 4 // 16 buckets for each power of two
	coarseUnit  = 10
	coarseCount = (37 - coarseUnit - coarseBits + 1) << coarseBits
)

// bucketOf returns the bucket of a time, in units of 1,024 ns.
func bucketOf(d time.Duration) int {
	v := uint64(max(d, 0)) >> coarseUnit
	if v < 2<<coarseBits {
		return int(v)
	}
	shift := bits.Len64(v) - coarseBits - 1
	return min(shift<<coarseBits+int(v>>shift), coarseCount-1)
}

// middleOf returns the time in the middle of a bucket.
func middleOf(bucket int) time.Duration {
	shift := max(bucket>>coarseBits-1, 0)
	low := uint64(bucket-shift<<coarseBits) << shift
	return time.Duration((2*low + 1<<shift) << coarseUnit / 2)
}

func (c *coarse) add(d time.Duration) {
	if c.counts == nil {
		c.counts = make([]uint32, coarseCount)
	}
	c.counts[bucketOf(d)]++
	c.max = max(c.max, d)
}

func (c *coarse) quantile(q float64) time.Duration {
	var total, seen float64
	for _, n := range c.counts {
		total += float64(n)
	}
	for i, n := range c.counts {
		if seen += float64(n); n > 0 && seen >= q*total {
			return min(middleOf(i), c.max)
		}
	}
	return 0
}
