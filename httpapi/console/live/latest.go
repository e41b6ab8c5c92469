package live

import (
	"strconv"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/index/audit"
	"github.com/cloakroom-dev/cloakroom/internal/readiness"
)

// latest is what is shown of the last sample, and of the window before it.
type latest struct {
	Routes   []routeView    `json:"routes"`
	Refusals []reasonView   `json:"refusals"`
	Near     nearView       `json:"near"`
	Redis    redisView      `json:"redis"`
	Sessions *sessionsView  `json:"sessions"` // null for who may not see all sessions
	Drift    driftView      `json:"drift"`
	InFlight []inFlightView `json:"inFlight"`
	ZITADEL  *zitadelView   `json:"zitadel"`
	Build    buildView      `json:"build"`
}

type routeView struct {
	Route    string            `json:"route"`
	Protocol string            `json:"protocol"`
	Rates    map[string]number `json:"rates"`
	Totals   map[string]total  `json:"totals"`
	P50      number            `json:"p50"`
	P99      number            `json:"p99"`
}

type reasonView struct {
	Reason string `json:"reason"`
	Rate   number `json:"rate"`
	Total  total  `json:"total"`
}

type nearView struct {
	On           bool         `json:"on"`
	State        string       `json:"state"`
	BoundSeconds number       `json:"boundSeconds"`
	Masters      []masterView `json:"masters"`
	LinksLost    total        `json:"linksLost"`
	Kinds        []kindView   `json:"kinds"`
}

type masterView struct {
	Address         string `json:"address"`
	Linked          bool   `json:"linked"`
	ProofAgeSeconds number `json:"proofAgeSeconds"`
	LagSeconds      number `json:"lagSeconds"`
}

type kindView struct {
	Kind    string  `json:"kind"`
	HitRate number  `json:"hitRate"`
	Entries *int    `json:"entries"`
	Bytes   *uint64 `json:"bytes"`
}

type redisView struct {
	Away         bool             `json:"away"`
	Errors       []classView      `json:"errors"`
	Pool         map[string]int64 `json:"pool"`
	BreakersOpen int64            `json:"breakersOpen"`
}

type classView struct {
	Class string `json:"class"`
	Rate  number `json:"rate"`
	Total total  `json:"total"`
}

type sessionsView struct {
	Known    bool         `json:"known"`
	Live     total        `json:"live"`
	At       *time.Time   `json:"at"`
	Error    string       `json:"error"`
	Never    total        `json:"never"`
	Expiries []expiryView `json:"expiries"`
}

type expiryView struct {
	Within  string `json:"within"`
	Seconds int64  `json:"seconds"`
	Count   total  `json:"count"`
}

type driftView struct {
	Passes total       `json:"passes"`
	Looked total       `json:"looked"`
	Kinds  []driftKind `json:"kinds"`
}

type driftKind struct {
	Kind  string `json:"kind"`
	Count int64  `json:"count"`
}

type inFlightView struct {
	Class string `json:"class"`
	Now   int64  `json:"now"`
	Limit int64  `json:"limit"`
	Shed  total  `json:"shed"`
}

type zitadelView struct {
	Away           bool       `json:"away"`
	AccountRefused bool       `json:"accountRefused"`
	PauseSeconds   number     `json:"pauseSeconds"`
	InFlight       int64      `json:"inFlight"`
	Queued         int64      `json:"queued"`
	NewsAgeSeconds number     `json:"newsAgeSeconds"`
	Leads          bool       `json:"leads"`
	Calls          []callView `json:"calls"`
}

type callView struct {
	Call   string `json:"call"`
	Result string `json:"result"`
	Rate   number `json:"rate"`
	Total  total  `json:"total"`
}

type buildView struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
}

// latest puts together what is shown of the last sample.
func (l *Live) latest(health []readiness.Part) *latest {
	s := &l.samples
	return &latest{
		Routes: s.routeViews(), Refusals: s.reasonViews(), Near: s.nearView(l.config.Bound), Redis: s.redisView(health), Sessions: l.lastSeen.sessions(),
		Drift: s.driftView(), InFlight: s.inFlightViews(), ZITADEL: s.zitadelView(),
		Build: s.build,
	}
}

func (s *samples) routeViews() []routeView {
	all := make([]routeView, 0, len(s.routes.sorted))
	for _, r := range s.routes.sorted {
		v := routeView{
			Route: r.route, Protocol: r.protocol, Rates: make(map[string]number, len(r.codes)), Totals: make(map[string]total, len(r.codes)),
			P50: number(milliseconds(r.times.percentile(0.5))), P99: number(milliseconds(r.times.percentile(0.99))),
		}
		for code, c := range r.codes {
			v.Rates[code[0]], v.Totals[code[0]] = number(s.rate(c)), total(c.total)
		}
		all = append(all, v)
	}
	return all
}

func (s *samples) reasonViews() []reasonView {
	all := []reasonView{}
	for _, reason := range s.verifies.sorted() {
		if c := s.verifies[reason]; c.total > 0 && !passes[reason[0]] {
			all = append(all, reasonView{reason[0], number(s.rate(c)), total(c.total)})
		}
	}
	return all
}

func (s *samples) nearView(bound time.Duration) nearView {
	n := &s.near
	v := nearView{On: n.On, State: n.State, BoundSeconds: number(bound.Seconds()), LinksLost: total(n.LinksLost), Masters: []masterView{}, Kinds: []kindView{}}
	if !n.On {
		return v
	}
	for _, m := range n.Masters {
		v.Masters = append(v.Masters, masterView{m.Address, m.Linked, number(orNaN(m.ProofAge)), number(orNaN(m.Lag))})
	}
	for _, k := range kinds {
		hits, misses := s.copies[label{k.name, "hits"}], s.copies[label{k.name, "misses"}]
		of := k.of(n)
		v.Kinds = append(v.Kinds, kindView{k.name, number(hitRate(hits.inWindow(), misses.inWindow())), &of.Entries, &of.Bytes})
	}
	return v
}

func (s *samples) redisView(health []readiness.Part) redisView {
	v := redisView{
		Errors: []classView{}, Pool: map[string]int64{"idle": s.now("redis_pool_connections", "idle"), "busy": s.now("redis_pool_connections", "busy")},
		BreakersOpen: s.now("redis_breaker_open", ""),
	}
	proven, is := s.gauges["redis_master_proven"][""]
	v.Away = v.BreakersOpen > 0 || is && proven == 0
	for _, p := range health {
		v.Away = v.Away || p.Name == "redis" && p.State == readiness.Bad
	}
	for _, class := range s.errors.sorted() {
		if c := s.errors[class]; c.total > 0 {
			v.Errors = append(v.Errors, classView{class[0], number(s.rate(c)), total(c.total)})
		}
	}
	return v
}

// sessions is what was seen last of the sessions.
func (p *pictures) sessions() *sessionsView {
	e := p.expiries
	v := &sessionsView{Known: e != nil, Error: p.fault}
	if e == nil {
		e = new(index.Expiries)
	} else {
		v.At = &p.expiriesAt
	}
	v.Live, v.Never = total(e.Live()), total(e.Never)
	bounds := index.ExpiryBounds()
	for i, n := range e.Within {
		view := expiryView{Within: "later", Count: total(n)}
		if i < len(bounds) {
			view.Within, view.Seconds = short(bounds[i]), int64(bounds[i].Seconds())
		}
		v.Expiries = append(v.Expiries, view)
	}
	return v
}

func (s *samples) driftView() driftView {
	v := driftView{Passes: total(s.now("audits_total", "")), Looked: total(s.now("audited_total", "")), Kinds: []driftKind{}}
	for _, kind := range audit.Drifts() {
		v.Kinds = append(v.Kinds, driftKind{string(kind), s.now("drift", string(kind))})
	}
	return v
}

// classes are those of requests, in the order in which they are shown.
var classes = [...]string{"read", "search", "write", "long"}

func (s *samples) inFlightViews() []inFlightView {
	all := []inFlightView{}
	for _, class := range classes {
		v := inFlightView{Class: class, Now: s.now("in_flight", class), Limit: s.now("in_flight_limit", class)}
		if c := s.shed[label{class}]; c != nil {
			v.Shed = total(c.total)
		}
		all = append(all, v)
	}
	return all
}

func (s *samples) zitadelView() *zitadelView {
	if !s.zitadel() {
		return nil
	}
	v := &zitadelView{
		Away: s.now("upstream_away", "") > 0, AccountRefused: s.now("upstream_account_refused", "") > 0,
		PauseSeconds: number(s.gauges["upstream_pause_seconds"][""]), InFlight: s.now("upstream_in_flight", ""), Queued: s.now("upstream_queued", ""),
		NewsAgeSeconds: number(s.gauges["upstream_news_age_seconds"][""]), Leads: s.now("upstream_news_leads", "") > 0, Calls: []callView{},
	}
	for _, l := range s.calls.sorted() {
		c := s.calls[l]
		v.Calls = append(v.Calls, callView{l[0], l[1], number(s.rate(c)), total(c.total)})
	}
	return v
}

// short writes a bound of expiries as people do: 5m, 3h, 7d.
func short(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d%day == 0:
		return strconv.Itoa(int(d/day)) + "d"
	case d%time.Hour == 0:
		return strconv.Itoa(int(d/time.Hour)) + "h"
	}
	return strconv.Itoa(int(d/time.Minute)) + "m"
}
