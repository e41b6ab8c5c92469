package load

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/valyala/fasthttp"
)

// Answers that shed a request are counted apart where the load says so, and are errors elsewhere.
func TestLoad_CountsWhatIsShed(t *testing.T) {
	f := func(shedding bool) *Outcome {
		t.Helper()
		var n atomic.Int64
		l := newLoad(t, "tcp", func(ctx *fasthttp.RequestCtx) {
			if n.Add(1)%2 == 0 {
				ctx.SetStatusCode(503)
				return
			}
			ctx.SetBodyString("right")
		})
		l.Shedding = shedding
		o, err := l.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	o := f(true)
	if got := o.total; o.Sheds() == 0 || got.errors != 0 || got.answered == 0 || uint64(got.shed.TotalCount()) != o.Sheds() || o.ShedMillis(99) <= 0 {
		t.Errorf("%d shed, %d errors, %d answered", o.Sheds(), got.errors, got.answered)
	}
	o = f(false)
	if got := o.total; o.Sheds() != 0 || got.errors == 0 || !strings.HasPrefix(got.firstError, "status 503") || o.ShedMillis(99) != 0 {
		t.Errorf("%d shed, %d errors, %s", o.Sheds(), got.errors, got.firstError)
	}
}
