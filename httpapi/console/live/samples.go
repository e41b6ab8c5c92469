package live

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache/near"
	dto "github.com/prometheus/client_model/go"
)

// samples is what is known of the program by all samples.
type samples struct {
	seq    int // of the last sample: seconds since the start; -1 before the first
	place  int // of the last sample in recent
	points points
	// elapsed is how many seconds each of the recent samples is of.
	elapsed [window]float64
	last    time.Duration // when the last sample was taken, since the start

	routes   routes
	verifies family // by reason
	errors   family // by class
	shed     family // by class
	calls    family // of ZITADEL, by what and how they ended
	copies   family // of the near cache, by kind and "hits" or "misses"
	commands counter
	swept    counter

	trips         map[string]*observations // by kind
	tripTimes     histogram
	upstreamCalls map[string]*observations // by what is called
	upstreamTimes histogram

	gauges map[string]map[string]float64 // by family, and by the value of its label if it has one
	build  buildView
	near   near.Stats
}

func newSamples(lasts func(route string) bool) samples {
	s := samples{
		seq: -1, routes: newRoutes(lasts), verifies: family{}, errors: family{}, shed: family{}, calls: family{}, copies: family{},
		trips: map[string]*observations{}, upstreamCalls: map[string]*observations{}, gauges: map[string]map[string]float64{},
	}
	s.points.clear()
	return s
}

// take takes a sample at that time since the start. It returns false, and takes nothing, if the last one was less than half of a
// second before. Seconds without a sample in between are left empty in all series.
func (s *samples) take(at time.Duration, families []*dto.MetricFamily, stats *near.Stats, live float64) bool {
	seq := int(at.Round(every) / every)
	if seq <= s.seq {
		return false
	}
	first := s.seq < 0
	s.begin(seq, at)
	for _, f := range families {
		s.takeFamily(f)
	}
	s.takeNear(stats)
	s.draw(first, live)
	return true
}

// begin makes room for the sample of a second.
func (s *samples) begin(seq int, at time.Duration) {
	skipped := min(seq-max(s.seq, 0), kept, seq)
	places := make([]int, 0, window)
	for n := max(seq-max(skipped, 1)+1, seq-window+1, 0); n <= seq; n++ {
		places = append(places, n%window)
	}
	for n := seq - max(skipped, 1) + 1; n <= seq; n++ {
		s.points.clearAt(n)
	}
	for _, i := range places {
		s.elapsed[i] = 0
	}
	s.seq, s.place = seq, seq%window
	s.elapsed[s.place], s.last = (at - s.last).Seconds(), at
	for _, f := range []family{s.verifies, s.errors, s.shed, s.calls, s.copies} {
		f.begin(places)
	}
	s.commands.begin(places)
	s.swept.begin(places)
	s.tripTimes.begin(places)
	s.upstreamTimes.begin(places)
	s.routes.begin(places)
	clear(s.gauges)
}

// takes says what is done with each metric of the families that are followed, by their names without "cloakroom_".
var takes = map[string]func(*samples, *dto.Metric){
	"http_requests_total":           func(s *samples, m *dto.Metric) { s.routes.takeRequests(m, s.place) },
	"http_request_duration_seconds": func(s *samples, m *dto.Metric) { s.routes.takeDurations(m, s.place) },

	"verify_total": func(s *samples, m *dto.Metric) {
		s.verifies.take(labelOf(m, "reason"), m.GetCounter().GetValue(), s.place)
	},
	"redis_errors_total": func(s *samples, m *dto.Metric) {
		s.errors.take(labelOf(m, "class"), m.GetCounter().GetValue(), s.place)
	},
	"shed_total": func(s *samples, m *dto.Metric) { s.shed.take(labelOf(m, "class"), m.GetCounter().GetValue(), s.place) },
	"upstream_calls_total": func(s *samples, m *dto.Metric) {
		s.calls.take(labelOf(m, "call", "result"), m.GetCounter().GetValue(), s.place)
	},
	"redis_commands_total": func(s *samples, m *dto.Metric) { s.commands.take(m.GetCounter().GetValue(), s.place) },
	"swept_total":          func(s *samples, m *dto.Metric) { s.swept.take(m.GetCounter().GetValue(), s.place) },

	"redis_round_trip_duration_seconds": func(s *samples, m *dto.Metric) { addTo(&s.tripTimes, s.trips, valueOf(m, "kind"), m, s.place) },
	"upstream_call_seconds": func(s *samples, m *dto.Metric) {
		addTo(&s.upstreamTimes, s.upstreamCalls, valueOf(m, "call"), m, s.place)
	},

	"build_info": func(s *samples, m *dto.Metric) {
		s.build = buildView{valueOf(m, "version"), valueOf(m, "commit"), valueOf(m, "goversion")}
	},
}

// gauges are the families of which only the last value is shown, by the label that tells their metrics apart.
var gauges = map[string]string{
	"in_flight": "class", "in_flight_limit": "class", "redis_pool_connections": "state", "redis_breaker_open": "", "redis_master_proven": "",
	"drift": "kind", "audits_total": "", "audited_total": "",
	"upstream_away": "", "upstream_account_refused": "", "upstream_pause_seconds": "", "upstream_in_flight": "", "upstream_queued": "",
	"upstream_news_age_seconds": "", "upstream_news_leads": "",
}

// takeFamily takes what is followed of a family of metrics; what is missing stays as it was.
func (s *samples) takeFamily(f *dto.MetricFamily) {
	name, _ := strings.CutPrefix(f.GetName(), "cloakroom_")
	if take := takes[name]; take != nil {
		for _, m := range f.GetMetric() {
			take(s, m)
		}
	}
	if by, is := gauges[name]; is {
		for _, m := range f.GetMetric() {
			s.takeGauge(name, valueOf(m, by), m)
		}
	}
}

// now returns a gauge as a whole number, 0 if there is none.
func (s *samples) now(name, of string) int64 {
	value := s.gauges[name][of]
	if math.IsNaN(value) {
		return 0
	}
	return int64(value)
}

// takeGauge notes what a metric is now: also of a counter of which only the total is shown.
func (s *samples) takeGauge(name, of string, m *dto.Metric) {
	all := s.gauges[name]
	if all == nil {
		all = map[string]float64{}
		s.gauges[name] = all
	}
	value := m.GetGauge().GetValue()
	if m.Counter != nil {
		value = m.GetCounter().GetValue()
	}
	if len(all) < mostCounters {
		all[of] = value
	}
}

// addTo adds what one histogram of a family has observed to that of the whole family.
func addTo(sum *histogram, each map[string]*observations, name string, m *dto.Metric, place int) {
	o := each[name]
	if o == nil {
		if len(each) == mostCounters {
			return
		}
		o = new(observations)
		each[name] = o
	}
	if observed, ok := o.take(m.GetHistogram()); ok {
		sum.add(o.bounds, &observed, place)
	}
}

// valueOf returns the value of a label, "" if there is none.
func valueOf(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// labelOf returns the values of one or two labels.
func labelOf(m *dto.Metric, names ...string) (l label) {
	for i, name := range names {
		l[i] = valueOf(m, name)
	}
	return l
}

// The kinds of copies, in the order in which they are shown.
var kinds = [...]struct {
	name string
	of   func(*near.Stats) *near.KindStats
}{
	{"session", func(s *near.Stats) *near.KindStats { return &s.Sessions }},
	{"list", func(s *near.Stats) *near.KindStats { return &s.Lists }},
	{"token", func(s *near.Stats) *near.KindStats { return &s.Tokens }},
	{"page", func(s *near.Stats) *near.KindStats { return &s.Pages }},
	{"end", func(s *near.Stats) *near.KindStats { return &s.Ends }},
}

// pages are those kinds whose hits count as hits of other kinds, too.
const pages = "page"

func (s *samples) takeNear(stats *near.Stats) {
	s.near = *stats
	if !stats.On {
		return
	}
	for _, k := range kinds {
		of := k.of(stats)
		s.copies.take(label{k.name, "hits"}, float64(of.Hits), s.place)
		s.copies.take(label{k.name, "misses"}, float64(of.Misses), s.place)
	}
}

// zitadel says whether there is a ZITADEL.
func (s *samples) zitadel() bool { return s.gauges["upstream_away"] != nil }

// seconds is how many the recent samples are of.
func (s *samples) seconds() (sum float64) {
	for _, n := range s.elapsed {
		sum += n
	}
	return sum
}

// rate is how often a second a counter has risen in the recent samples.
func (s *samples) rate(c *counter) float64 { return c.inWindow() / max(s.seconds(), 0.5) }

// hitRate is the share of the reads of copies that found one.
func hitRate(hits, misses float64) float64 { return hits / (hits + misses) } // NaN without reads

// sorted returns the labels of a family in order.
func (f family) sorted() []label {
	all := make([]label, 0, len(f))
	for l := range f {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b label) int { return strings.Compare(a[0]+"\x00"+a[1], b[0]+"\x00"+b[1]) })
	return all
}

// milliseconds is a time in seconds as it is shown.
func milliseconds(seconds float64) float64 { return seconds * 1000 }

// orNaN is a time, NaN if it is negative, which means that it is not known.
func orNaN(d time.Duration) float64 {
	if d < 0 {
		return math.NaN()
	}
	return d.Seconds()
}
