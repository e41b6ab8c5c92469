package live

import "math"

// The series, in the order of seriesNames.
const (
	requests2xx = iota
	requests3xx
	requests4xx
	requests5xx
	verifyPassed
	verifyRefused
	verifyUnavailable
	verifyP50
	verifyP90
	verifyP99
	apiP50
	apiP90
	apiP99
	nearHitRate
	nearProofAge
	nearLag
	nearBytes
	redisTrips
	redisCommands
	redisErrors
	redisP50
	redisP99
	inFlight
	shed
	sessions
	ended
	upstreamCalls
	upstreamP99
	seriesCount
)

var seriesNames = [seriesCount]string{
	"requests.2xx", "requests.3xx", "requests.4xx", "requests.5xx", "verify.passed", "verify.refused", "verify.unavailable",
	"verify.p50", "verify.p90", "verify.p99", "api.p50", "api.p90", "api.p99", "near.hit_rate", "near.proof_age", "near.lag", "near.bytes",
	"redis.trips", "redis.commands", "redis.errors", "redis.p50", "redis.p99", "in_flight", "shed", "sessions", "ended",
	"upstream.calls", "upstream.p99",
}

// points are the values of all series in the last seconds; NaN is none. A second has its place by its number.
type points [seriesCount][kept]float64

func (p *points) clear() {
	for n := range kept {
		p.clearAt(n)
	}
}

// clearAt empties a second.
func (p *points) clearAt(seq int) {
	for i := range p {
		p[i][seq%kept] = math.NaN()
	}
}

// Verifies that let pass, and those of which it is not known whether they should have; the other reasons refuse.
var (
	passes  = map[string]bool{"good": true, "stale": true}
	unknown = map[string]bool{"store_unavailable": true, "issuer_unavailable": true, "overloaded": true, "probe_limit": true}
)

// draw sets the points of the sample that has just been taken. The first has no rates: nothing is known of before.
func (s *samples) draw(first bool, live float64) {
	set := func(series int, value float64) { s.points[series][s.seq%kept] = value }
	set(sessions, live)
	set(inFlight, s.sum("in_flight"))
	if s.near.On {
		set(nearProofAge, orNaN(s.near.ProofAge))
		if s.near.Links > 0 {
			set(nearLag, s.near.Lag.Seconds())
		}
		bytes := uint64(0)
		for _, k := range kinds {
			bytes += k.of(&s.near).Bytes
		}
		set(nearBytes, float64(bytes))
	}
	if first {
		s.forgetRecent()
		return
	}
	elapsed := s.elapsed[s.place]
	rate := func(series int, rise float64) { set(series, rise/elapsed) }
	for i, series := range []int{requests2xx, requests3xx, requests4xx, requests5xx} {
		rate(series, s.routes.statuses[2+i])
	}
	var passed, refused, unavailable float64
	for reason, c := range s.verifies {
		switch {
		case passes[reason[0]]:
			passed += c.last
		case unknown[reason[0]]:
			unavailable += c.last
		default:
			refused += c.last
		}
	}
	rate(verifyPassed, passed)
	rate(verifyRefused, refused)
	rate(verifyUnavailable, unavailable)
	for share, series := range map[float64][2]int{0.5: {verifyP50, apiP50}, 0.9: {verifyP90, apiP90}, 0.99: {verifyP99, apiP99}} {
		set(series[0], milliseconds(s.routes.checkTimes.percentile(share)))
		set(series[1], milliseconds(s.routes.apiTimes.percentile(share)))
	}
	var hits, misses float64
	for l, c := range s.copies {
		switch {
		case l[0] == pages: // its hits are counted by other kinds, too
		case l[1] == "hits":
			hits += c.last
		default:
			misses += c.last
		}
	}
	set(nearHitRate, hitRate(hits, misses))
	rate(redisTrips, float64(s.tripTimes.recent[s.place].count()))
	rate(redisCommands, s.commands.last)
	rate(redisErrors, s.errors.last())
	set(redisP50, milliseconds(s.tripTimes.percentile(0.5)))
	set(redisP99, milliseconds(s.tripTimes.percentile(0.99)))
	rate(shed, s.shed.last())
	rate(ended, s.swept.last)
	if s.zitadel() {
		rate(upstreamCalls, s.calls.last())
		set(upstreamP99, milliseconds(s.upstreamTimes.percentile(0.99)))
	}
}

// forgetRecent takes back what the first sample has counted: it is of the time before.
func (s *samples) forgetRecent() {
	s.elapsed[s.place] = 0
	place := []int{s.place}
	for _, f := range []family{s.verifies, s.errors, s.shed, s.calls, s.copies} {
		f.begin(place)
	}
	s.commands.begin(place)
	s.swept.begin(place)
	s.tripTimes.begin(place)
	s.upstreamTimes.begin(place)
	s.routes.begin(place)
}

// last is by how much all counters of a family have risen in the last sample.
func (f family) last() (sum float64) {
	for _, c := range f {
		sum += c.last
	}
	return sum
}

// sum adds up the gauges of a family.
func (s *samples) sum(name string) (sum float64) {
	for _, value := range s.gauges[name] {
		sum += value
	}
	return sum
}

// has says whether a series can have values at all.
func (s *samples) has(series int) bool {
	switch series {
	case nearHitRate, nearProofAge, nearLag, nearBytes:
		return s.near.On
	case upstreamCalls, upstreamP99:
		return s.zitadel()
	}
	return true
}
