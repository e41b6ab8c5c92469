package upstream_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/upstream"
)

// switching answers with what it was told last.
type switching struct {
	handler atomic.Pointer[http.HandlerFunc]
}

func (s *switching) use(h http.HandlerFunc) { s.handler.Store(&h) }

func (s *switching) answer(w http.ResponseWriter, r *http.Request) { (*s.handler.Load())(w, r) }

func TestBreaker_OpensWhenZitadelIsAway_AndClosesWhenItIsBack(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]http.HandlerFunc{
		"502": status(502), "503": status(503), "500 of a proxy": status(500), "504 of a proxy": status(504), "crashes": crash,
		"503 of ZITADEL": exchange{Status: 503, Headers: [][2]string{{"Content-Type", "application/json"}}, Body: `{"code":14,"message":"x"}`}.handler,
		"silence":        func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var now switching
			now.use(away)
			s := serve(t, now.answer)
			c := ask(t, s.URL, func(c *upstream.Config) {
				if name == "silence" {
					c.Timeout = 100 * time.Millisecond
				}
			})
			for range 5 {
				_, err := c.Call(t.Context(), write())
				if err != nil && !upstream.MayHaveHappened(err) && name != "silence" { // which a slow machine makes of a connection, too
					t.Error(err)
				}
			}
			sent := len(s.requests(""))
			if sent != 5 && name != "silence" || !c.State().Away || c.State().Fault == "" || c.gauge(t, "cloakroom_upstream_away") != 1 {
				t.Errorf("after %d calls %+v", sent, c.State())
			}
			// The next one may be let through already, if this machine is slow: then it fails again.
			_, err := c.Call(t.Context(), write())
			if n := len(s.requests("")); n == sent && (!errors.Is(err, upstream.ErrUnavailable) || upstream.MayHaveHappened(err) || !strings.Contains(err.Error(), "so this one was not sent: ")) {
				t.Error(err)
			}
			now.use(answered("{}"))
			eventually.Holds(t, "recovery", func() bool {
				_, err := c.Call(t.Context(), write())
				return err == nil
			})
			if c.State().Away || c.log.Count("zitadel is away") != 1 || c.log.Count("zitadel answers again") != 1 {
				t.Errorf("%+v, and the log has\n%s", c.State(), c.log.String())
			}
		})
	}
}

// A process that nobody asks for anything finds out, too.
func TestRun_FindsOutThatZitadelIsBack(t *testing.T) {
	t.Parallel()
	var now switching
	now.use(status(502))
	s := serve(t, now.answer)
	c := ask(t, s.URL)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	for round := range 2 {
		for range 5 {
			if _, err := c.Call(t.Context(), write()); err != nil {
				t.Fatal(err)
			}
		}
		sent := len(s.requests(""))
		eventually.Holds(t, "it asks", func() bool { return len(s.requests("")) > sent })
		if !c.State().Away {
			t.Error("an answer of a proxy passes as ZITADEL's")
		}
		now.use(recorded(t, "connect v2 get").handler)
		eventually.Holds(t, "recovery", func() bool { return !c.State().Away })
		eventually.Holds(t, "the log says so", func() bool { return c.log.Count("zitadel answers again") == round+1 })
		now.use(status(502))
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// What a caller can bring about on purpose must not keep out the others.
func TestBreaker_AnswersToWrongCallsDoNotOpenIt(t *testing.T) {
	t.Parallel()
	var now switching
	s := serve(t, now.answer)
	c := ask(t, s.URL)
	inForm := func(status int) http.HandlerFunc {
		return exchange{Status: status, Headers: [][2]string{{"Content-Type", "application/json"}}, Body: `{"code":"deadline_exceeded","message":"context deadline exceeded"}`}.handler
	}
	for name, h := range map[string]http.HandlerFunc{
		"500 of a bad ID": recorded(t, "get id unicode").handler, "404": status(404), "429": inForm(429), "501": status(501), "505": status(505), "504 of a short time-out": inForm(504),
	} {
		now.use(h)
		for range 10 {
			if _, err := c.Call(t.Context(), write()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	now.use(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for range 10 {
		soon, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		_, err := c.Call(soon, write())
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	}
	if c.State().Away {
		t.Errorf("%+v", c.State())
	}
}

func TestRetryAfter_HoldsBackCalls(t *testing.T) {
	t.Parallel()
	asks := func(status int, after string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if after != "" {
				w.Header().Set("Retry-After", after)
			}
			w.WriteHeader(status)
		}
	}
	const ours, all, none = 1, 2, 0
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		as     upstream.Authorization
		holds  int
		least  time.Duration
	}{
		"429 to us":                       {asks(429, "30"), upstream.AsOurs(), ours, 20 * time.Second},
		"429 to us, a date":               {asks(429, time.Now().Add(50*time.Second).UTC().Format(http.TimeFormat)), upstream.AsOurs(), ours, 20 * time.Second},
		"429 to us, for hours":            {asks(429, "99999"), upstream.AsOurs(), ours, 50 * time.Second},
		"429 to us, for ever":             {asks(429, "18446744073709551615"), upstream.AsOurs(), ours, 50 * time.Second},
		"429 to us, until a far date":     {asks(429, "Fri, 31 Dec 9999 23:59:59 GMT"), upstream.AsOurs(), ours, 50 * time.Second},
		"429 to us, not for how long":     {asks(429, ""), upstream.AsOurs(), ours, 0},
		"429 to us, junk":                 {asks(429, "soon"), upstream.AsOurs(), ours, 0},
		"429 to us, until a date gone by": {asks(429, "Fri, 31 Dec 1999 23:59:59 GMT"), upstream.AsOurs(), none, 0},
		"429 to a caller":                 {asks(429, "30"), upstream.As(callers), none, 0},
		"503 to us":                       {asks(503, "30"), upstream.AsOurs(), all, 20 * time.Second},
		"503 to a caller":                 {asks(503, "30"), upstream.As(callers), all, 20 * time.Second},
		"503, not for how long":           {asks(503, ""), upstream.AsOurs(), none, 0},
		"200 with Retry-After":            {asks(200, "30"), upstream.AsOurs(), none, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, c.answer)
			w := ask(t, s.URL)
			q := write()
			q.As = c.as
			if _, err := w.Call(t.Context(), q); err != nil {
				t.Fatal(err)
			}
			held := func(as upstream.Authorization) bool {
				sent := len(s.requests(""))
				q := write()
				q.As = as
				_, err := w.Call(t.Context(), q)
				var later *upstream.RetryLaterError
				if !errors.As(err, &later) {
					if err != nil {
						t.Error(err)
					}
					return false
				}
				if !errors.Is(err, upstream.ErrUnavailable) || upstream.MayHaveHappened(err) || later.After <= c.least || later.After > time.Minute || len(s.requests("")) != sent {
					t.Errorf("%v", err)
				}
				return true
			}
			if got := held(upstream.As("Bearer another")); got != (c.holds == all) {
				t.Errorf("other callers are held back: %v", got)
			}
			// A second may be over already on a slow machine.
			if got := held(upstream.AsOurs()); got != (c.holds != none) && c.least > 0 || got && c.holds == none {
				t.Errorf("we are held back: %v", got)
			}
			if got := w.State().Pause > 0; got != (c.holds != none) && c.least > 0 {
				t.Errorf("%+v", w.State())
			}
		})
	}
}

func TestRetryAfter_EndsByItself(t *testing.T) {
	t.Parallel()
	var now switching
	now.use(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(429)
	})
	s := serve(t, now.answer)
	c := ask(t, s.URL)
	var later *upstream.RetryLaterError
	if _, err := c.GetSession(t.Context(), "401643068324842534", "", upstream.AsOurs()); !errors.As(err, &later) || later.After != time.Second {
		t.Errorf("the answer itself: %v", err)
	}
	now.use(recorded(t, "connect v2 get").handler)
	eventually.Holds(t, "the end of the pause", func() bool {
		got, err := c.GetSession(t.Context(), "401643068324842534", "", upstream.AsOurs())
		return err == nil && got.Outcome == upstream.Found
	})
}

// Calls that wait for their turn meanwhile are held back as well.
func TestRetryAfter_HoldsBackCallsThatWait(t *testing.T) {
	t.Parallel()
	handler, let := hold(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(429)
	})
	s := serve(t, handler)
	c := ask(t, s.URL, func(c *upstream.Config) { c.Concurrency, c.Queue = 1, 5 })
	errs := make(chan error, 4)
	for i := range cap(errs) {
		go func() {
			q := write()
			q.As = upstream.AsOurs()
			_, err := c.Call(t.Context(), q)
			errs <- err
		}()
		eventually.Holds(t, "it waits", func() bool {
			return len(s.requests("")) == 1 && c.gauge(t, "cloakroom_upstream_queued") == float64(i)
		})
	}
	let()
	held := 0
	for range cap(errs) {
		if err := <-errs; errors.As(err, new(*upstream.RetryLaterError)) {
			held++
		} else if err != nil {
			t.Error(err)
		}
	}
	if n := len(s.requests("")); held != cap(errs)-1 || n != 1 {
		t.Errorf("%d were held back, %d sent", held, n)
	}
}
