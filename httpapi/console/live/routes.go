package live

import (
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/cloakroom-dev/cloakroom/httpapi/verify"
	dto "github.com/prometheus/client_model/go"
)

// mostRoutes bounds how many routes are followed. They are ours, so there are fewer.
const mostRoutes = 200

// routes are the routes that have been asked for, and what is known of all of them together.
type routes struct {
	all    map[label]*route // by route and protocol
	sorted []*route
	lasts  func(route string) bool // Config.Lasts

	statuses   [6]float64 // requests in the last sample, by the first digit of their status
	apiTimes   histogram  // of all requests but verifies, and those that last
	checkTimes histogram  // of verifies
}

// route is what is known of the requests of one route by one protocol.
type route struct {
	route, protocol string
	codes           family // by HTTP status
	lasts           bool
	seen            observations
	times           histogram
}

func newRoutes(lasts func(string) bool) routes { return routes{all: map[label]*route{}, lasts: lasts} }

func (r *routes) begin(places []int) {
	r.statuses = [6]float64{}
	r.apiTimes.begin(places)
	r.checkTimes.begin(places)
	for _, one := range r.sorted {
		one.codes.begin(places)
		one.times.begin(places)
	}
}

// of returns the route of a metric, nil if there are too many.
func (r *routes) of(m *dto.Metric) *route {
	name := label{valueOf(m, "route"), valueOf(m, "protocol")}
	one := r.all[name]
	if one == nil && len(r.all) < mostRoutes {
		one = &route{route: name[0], protocol: name[1], codes: family{}, lasts: r.lasts != nil && r.lasts(name[0])}
		r.all[name] = one
		at, _ := slices.BinarySearchFunc(r.sorted, one, func(a, b *route) int {
			return strings.Compare(a.route+"\x00"+a.protocol, b.route+"\x00"+b.protocol)
		})
		r.sorted = slices.Insert(r.sorted, at, one)
	}
	return one
}

func (r *routes) takeRequests(m *dto.Metric, place int) {
	one, code := r.of(m), valueOf(m, "code")
	if one == nil || len(code) != 3 || code[0] < '1' || code[0] > '5' {
		return
	}
	r.statuses[code[0]-'0'] += one.codes.take(label{code}, m.GetCounter().GetValue(), place)
}

func (r *routes) takeDurations(m *dto.Metric, place int) {
	one := r.of(m)
	if one == nil {
		return
	}
	observed, ok := one.seen.take(m.GetHistogram())
	if !ok {
		return
	}
	one.times.add(one.seen.bounds, &observed, place)
	switch one.route {
	case server.NoRoute:
	case verify.Path:
		r.checkTimes.add(one.seen.bounds, &observed, place)
	default:
		if one.lasts {
			return
		}
		r.apiTimes.add(one.seen.bounds, &observed, place)
	}
}
