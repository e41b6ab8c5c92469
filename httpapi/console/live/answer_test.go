package live

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache/near"
)

// answered is an answer as a page reads it.
type answered struct {
	Now, StartedAt time.Time
	Every          int
	From, Seq      int64
	Series         map[string][]*float64
	Latest         struct {
		Routes []struct {
			Route, Protocol string
			Rates           map[string]float64
			Totals          map[string]string
			P50, P99        *float64
		}
		Refusals []struct {
			Reason string
			Rate   float64
			Total  string
		}
		Near     json.RawMessage
		Redis    struct{ Away bool }
		Sessions struct {
			Known       bool
			Live, Never string
			At          *time.Time
			Error       string
			Expiries    []struct {
				Within  string
				Seconds int
				Count   string
			}
		}
		ZITADEL *struct {
			Calls []struct{ Call, Result, Total string }
		}
	}
	Health []struct{ Part, State, Says, Do string }
}

func read(t interface {
	Helper()
	Fatalf(string, ...any)
}, text []byte,
) *answered {
	t.Helper()
	a := new(answered)
	if err := json.Unmarshal(text, a); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	for name, values := range a.Series {
		if int64(len(values)) != a.Seq-a.From+1 {
			t.Fatalf("%s has %d points from %d to %d", name, len(values), a.From, a.Seq)
		}
	}
	return a
}

// value is a number of a series, NaN if there is none.
func value(of *float64) float64 {
	if of == nil {
		return math.NaN()
	}
	return *of
}

// whileRunning runs a Live in the time of synctest until test returns. pass lets seconds pass, with a sample in each.
func whileRunning(t *testing.T, p *program, test func(l *Live, pass func(seconds int))) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := p.live()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- l.Run(ctx) }()
		synctest.Wait()
		<-time.After(every / 2) // between two samples
		test(l, func(seconds int) {
			<-time.After(time.Duration(seconds) * every)
			synctest.Wait()
		})
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

// A page that polls gets each second once; one that is new, was away for long or comes from another process gets all.
func TestAnswer_HasWhatIsNew(t *testing.T) {
	p := newProgram(t, false)
	whileRunning(t, p, func(l *Live, pass func(int)) {
		if a := read(t, l.Answer(-1, true)); a.Seq != 0 || a.From != 0 || a.Every != 1 || a.Series["requests.2xx"][0] != nil {
			t.Errorf("after the first sample: %+v", a)
		}
		requests := p.http.Of("GET /a", "http")
		for second := range 400 {
			for range second % 7 {
				requests.Answered(200, time.Millisecond)
			}
			pass(1)
			after := int64(second)
			a := read(t, l.Answer(after, true))
			if a.Seq != after+1 || a.From != a.Seq || value(a.Series["requests.2xx"][0]) != float64(second%7) {
				t.Fatalf("after %d: from %d to %d, %v", after, a.From, a.Seq, value(a.Series["requests.2xx"][0]))
			}
		}
		for _, c := range []struct{ after, from int64 }{{400, 401}, {399, 400}, {370, 371}, {369, 101}, {0, 101}, {-1, 101}, {401, 101}, {math.MaxInt64, 101}, {math.MinInt64, 101}} {
			if a := read(t, l.Answer(c.after, true)); a.From != c.from || a.Seq != 400 {
				t.Errorf("after %d: from %d to %d, want from %d to 400", c.after, a.From, a.Seq, c.from)
			}
		}
		a := read(t, l.Answer(-1, true))
		for i, v := range a.Series["requests.2xx"] {
			if second := int(a.From) + i - 1; value(v) != float64(second%7) {
				t.Errorf("in second %d there were %v requests", second, value(v))
			}
		}
		if !a.Now.Equal(a.StartedAt.Add(400 * time.Second)) {
			t.Errorf("started at %v, now %v", a.StartedAt, a.Now)
		}
	})
}

// Before anything was sampled there is an answer, too.
func TestAnswer_BeforeTheFirstSample(t *testing.T) {
	l := newProgram(t, true).live()
	if a := read(t, l.Answer(5, true)); a.Seq != -1 || a.From != 0 || a.Latest.Sessions.Known || len(a.Health) != 0 || a.Now.IsZero() {
		t.Errorf("got %+v", a)
	}
}

// However many pages look, and whatever they have, few answers are made of a sample, and each once.
func TestAnswer_IsShared(t *testing.T) {
	p := newProgram(t, false)
	whileRunning(t, p, func(l *Live, pass func(int)) {
		pass(350)
		different := map[*byte]bool{}
		for range 3 {
			for after := int64(-5); after < 400; after++ {
				plain, zipped := l.Answer(after, true), l.AnswerGzip(after, true)
				different[&plain[0]], different[&zipped[0]] = true, true
			}
		}
		for after := int64(-5); after < 400; after++ {
			plain, zipped := l.Answer(after, false), l.AnswerGzip(after, false)
			different[&plain[0]], different[&zipped[0]] = true, true
		}
		if most := 4 * (mostNew + 2); len(different) > most {
			t.Errorf("%d answers were made, want at most %d", len(different), most)
		}
		r, err := gzip.NewReader(bytes.NewReader(l.AnswerGzip(-1, true)))
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(r); err != nil || !bytes.Equal(text, l.Answer(-1, true)) {
			t.Errorf("the compressed answer is another one (%v)", err)
		}
		before := l.Answer(-1, true)
		pass(1)
		if bytes.Equal(before, l.Answer(-1, true)) {
			t.Error("the answer of the last sample is kept")
		}
	})
}

// Routes come when they are asked for, in order, with rates and percentiles of the last ten seconds and totals since the start; and
// their number is bounded.
func TestAnswer_Routes(t *testing.T) {
	p := newProgram(t, false)
	whileRunning(t, p, func(l *Live, pass func(int)) {
		pass(3)
		if a := read(t, l.Answer(-1, true)); len(a.Latest.Routes) != 0 {
			t.Errorf("routes that nobody asked for: %+v", a.Latest.Routes)
		}
		for range 20 {
			p.http.Of("GET /b", "http").Answered(200, 3*time.Millisecond)
		}
		p.http.Of("GET /b", "grpc").Answered(404, 3*time.Millisecond)
		p.http.Of("GET /a", "http").Answered(503, time.Hour)
		p.http.Refused(400)
		pass(7)
		routes := read(t, l.Answer(-1, true)).Latest.Routes
		names := []string{}
		for _, r := range routes {
			names = append(names, r.Route+" by "+r.Protocol)
		}
		if want := []string{"GET /a by http", "GET /b by grpc", "GET /b by http", "none by none"}; !slices.Equal(names, want) {
			t.Fatalf("routes %v, want %v", names, want)
		}
		if b := routes[2]; b.Rates["200"] != 2 || b.Totals["200"] != "20" || value(b.P50) != 3.75 {
			t.Errorf("got %+v, the median is %v", b, value(b.P50))
		}
		if a := routes[0]; value(a.P99) != 2500 {
			t.Errorf("an hour is %v ms, want the last bound", value(a.P99))
		}
		pass(10)
		for _, r := range read(t, l.Answer(-1, true)).Latest.Routes {
			for code, rate := range r.Rates {
				if rate != 0 || r.Totals[code] == "0" || r.P50 != nil {
					t.Errorf("ten seconds later: %+v", r)
				}
			}
		}
		for _, name := range manyRoutes(2 * mostRoutes) {
			p.http.Of(name, "http").Answered(200, time.Millisecond)
		}
		pass(1)
		if n := len(read(t, l.Answer(-1, true)).Latest.Routes); n != mostRoutes {
			t.Errorf("%d routes, want %d", n, mostRoutes)
		}
	})
}

// Counts from before the first sample are in the totals, but in no rate and no percentile.
func TestAnswer_WhatWasBeforeTheFirstSample(t *testing.T) {
	p := newProgram(t, false)
	p.http.Of("GET /a", "http").Answered(200, time.Second)
	p.verifies.WithLabelValues("expired").Inc()
	whileRunning(t, p, func(l *Live, pass func(int)) {
		pass(2)
		a := read(t, l.Answer(-1, true))
		if r := a.Latest.Routes[0]; r.Rates["200"] != 0 || r.Totals["200"] != "1" || r.P50 != nil {
			t.Errorf("got %+v", r)
		}
		if r := a.Latest.Refusals[0]; r.Rate != 0 || r.Total != "1" {
			t.Errorf("got %+v", r)
		}
		if v := a.Series["api.p50"][2]; v != nil {
			t.Errorf("the median is %v", *v)
		}
	})
}

// Series that cannot have a value are left out: copies without a near cache, calls without a ZITADEL.
func TestAnswer_LeavesOutWhatIsNotThere(t *testing.T) {
	all := slices.Sorted(slices.Values(seriesNames[:]))
	for _, zitadel := range []bool{false, true} {
		for _, on := range []bool{false, true} {
			p := newProgram(t, zitadel)
			p.near.On = on
			whileRunning(t, p, func(l *Live, pass func(int)) {
				p.calls.WithLabelValues("get", "2xx").Inc()
				pass(2)
				a := read(t, l.Answer(-1, true))
				want := slices.DeleteFunc(slices.Clone(all), func(name string) bool {
					return strings.HasPrefix(name, "near.") && !on || strings.HasPrefix(name, "upstream.") && !zitadel
				})
				if got := slices.Sorted(maps.Keys(a.Series)); !slices.Equal(got, want) {
					t.Errorf("near cache %v, ZITADEL %v: series %v", on, zitadel, got)
				}
				if (a.Latest.ZITADEL != nil) != zitadel {
					t.Errorf("ZITADEL %v: %+v", zitadel, a.Latest.ZITADEL)
				}
			})
		}
	}
}

// Numbers that are none, and gauges that are none, are null: JSON has nothing else for them.
func TestAnswer_OddNumbers(t *testing.T) {
	p := newProgram(t, true)
	p.gauge("upstream_news_age_seconds", math.NaN())
	p.gauge("upstream_pause_seconds", math.Inf(1))
	p.gauge("upstream_queued", math.NaN())
	p.gauge("in_flight", math.NaN(), "class", "read")
	p.near = near.Stats{On: true, ProofAge: -1, Masters: []near.MasterStats{{Address: "a\"\x01", ProofAge: -1, Lag: -1}}}
	whileRunning(t, p, func(l *Live, pass func(int)) {
		p.swept.Add(math.Inf(1))
		pass(2)
		a := read(t, l.Answer(-1, true))
		for _, name := range []string{"in_flight", "near.proof_age", "near.lag", "near.hit_rate", "verify.p50", "upstream.p99"} {
			if v := a.Series[name][2]; v != nil {
				t.Errorf("%s is %v", name, *v)
			}
		}
		for _, want := range []string{`"newsAgeSeconds":null`, `"pauseSeconds":null`, `"proofAgeSeconds":null,"lagSeconds":null`, `"hitRate":null`} {
			if text := l.Answer(-1, true); !bytes.Contains(text, []byte(want)) {
				t.Errorf("no %s in %s", want, text)
			}
		}
	})
}
