package main

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/valyala/fasthttp"
)

// Answers that shed a request are counted apart where the load says so, and are errors elsewhere.
func TestLoad_CountsWhatIsShed(t *testing.T) {
	f := func(shedding bool) *recorder {
		t.Helper()
		var n atomic.Int64
		l := newLoad(t, "tcp", func(ctx *fasthttp.RequestCtx) {
			if n.Add(1)%2 == 0 {
				ctx.SetStatusCode(503)
				return
			}
			ctx.SetBodyString("right")
		})
		l.shedding = shedding
		o, err := l.run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return o.total
	}
	if got := f(true); got.sheds == 0 || got.errors != 0 || got.answered == 0 || uint64(got.shed.TotalCount()) != got.sheds || at(got.shed, 99) <= 0 {
		t.Errorf("%d shed, %d errors, %d answered", got.sheds, got.errors, got.answered)
	}
	if got := f(false); got.sheds != 0 || got.errors == 0 || !strings.HasPrefix(got.firstError, "status 503") || at(got.shed, 99) != 0 {
		t.Errorf("%d shed, %d errors, %s", got.sheds, got.errors, got.firstError)
	}
}

// The costliest search is for what there is: of a small dataset, all of it.
func TestSearchCostly_AsksForThePage(t *testing.T) {
	for _, sessions := range []int{50, 50_000} {
		c := newSearchCostly(scenarioConfig{data: dataset{sessions: sessions}}).client(0, newRand(1, 1)).(*costlySearcher)
		request, want := c.next(nil)
		if want != 200 || !strings.Contains(string(request), `"limit":1000`) || c.found.total != min(sessions, mostCandidates) || len(c.found.page) != min(sessions, 1000) {
			t.Errorf("%d: total %d, %d on the page: %s", sessions, c.found.total, len(c.found.page), request)
		}
	}
}
