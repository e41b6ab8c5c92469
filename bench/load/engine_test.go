package load

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// asker is a scenario whose answers must be "right".
type asker struct{ deepChecks *atomic.Int64 }

func (s asker) Client(int, *rand.Rand) Client { return s }

func (asker) Next(b []byte) ([]byte, int) {
	return append(b, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"...), 200
}

func (asker) Check(a *Answer) error {
	if string(a.Body) != "right" {
		return errors.New(string(a.Body))
	}
	return nil
}

func (s asker) Deep() func([]byte) error {
	return func(body []byte) error {
		s.deepChecks.Add(1)
		if !strings.HasPrefix(string(body), "right") {
			return errors.New("deep")
		}
		return nil
	}
}

func (asker) Lost() {}

// newLoad returns a short closed load on a server with that handler, nil for none.
func newLoad(t *testing.T, network string, handler fasthttp.RequestHandler) *Load {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	server := &fasthttp.Server{Handler: handler, CloseOnShutdown: true, Logger: quiet{}}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	t.Cleanup(func() {
		err := server.Shutdown()
		_ = ln.Close() // a server that had not begun yet has not heard of its end
		if served := <-served; !errors.Is(served, net.ErrClosed) {
			err = errors.Join(err, served)
		}
		if err != nil {
			t.Error(err)
		}
	})
	return &Load{
		Target: Endpoint{Network: network, Address: ln.Addr().String()}, Scenario: asker{new(atomic.Int64)}, Checking: true, DeepEvery: 10,
		Schedule: "constant", Backlog: 100, Connections: 4, Length: 50 * time.Millisecond, Timeout: 10 * time.Second, Seed: 1,
	}
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}

func right(http *fasthttp.RequestCtx) { http.SetBodyString("right") }

// upTo returns a handler that ends the context with its n-th request, so that a
// load does as much on a slow machine as on a fast one.
func upTo(t *testing.T, n int64, handler fasthttp.RequestHandler) (context.Context, fasthttp.RequestHandler) {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	var asked atomic.Int64
	return ctx, func(http *fasthttp.RequestCtx) {
		handler(http)
		if asked.Add(1) == n {
			cancel()
		}
	}
}

// run1 runs the load, and checks what must be true of every outcome.
func run1(ctx context.Context, t *testing.T, l *Load) *Outcome {
	t.Helper()
	o, err := l.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if r := o.total; o.due != r.answered+r.errors+r.dropped {
		t.Errorf("%d due, but %d answered, %d errors, %d dropped", o.due, r.answered, r.errors, r.dropped)
	}
	return o
}

func TestEngine_ClosedLoop(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		ctx, handler := upTo(t, 500, right)
		l := newLoad(t, network, handler)
		l.Length = time.Hour
		o := run1(ctx, t, l)
		if r := o.total; r.errors+r.wrong+r.dropped != 0 || r.answered < 400 || r.answered > 600 || r.firstError != "" {
			t.Errorf("%s: %+v", network, r)
		}
	}
}

func TestEngine_OpenLoopSendsWhatIsDue(t *testing.T) {
	l := newLoad(t, "tcp", right)
	l.Rate, l.Warmup = 2000, 20*time.Millisecond
	o := run1(t.Context(), t, l)
	if o.due != 100 || o.total.errors != 0 {
		t.Errorf("%d due, want 100; %+v", o.due, o.total)
	}
	if got, want := l.Live.Answered.Load()+l.Live.Dropped.Load(), uint64(140); got != want {
		t.Errorf("%d answered or dropped with the warm-up, want %d", got, want)
	}
}

// One answer comes only when requests are dropped: meanwhile others fall due, on
// a schedule that does not wait, so they are late, and that is in their latency.
func TestEngine_LatencyCountsFromTheDueTime(t *testing.T) {
	var live atomic.Pointer[Load]
	var stalled sync.Once
	l := newLoad(t, "tcp", func(http *fasthttp.RequestCtx) {
		stalled.Do(func() {
			for live.Load().Live.Dropped.Load() == 0 {
				runtime.Gosched()
			}
		})
		right(http)
	})
	l.Rate, l.Connections, l.Backlog = 2000, 1, 10
	live.Store(l)
	o := run1(t.Context(), t, l)
	r := o.total
	if r.dropped == 0 || r.late == 0 {
		t.Errorf("%d dropped, %d late", r.dropped, r.late)
	}
	// The ten that waited stood in the queue at least until the eleventh was due.
	if waited := r.latency.Mean() - r.service.Mean(); waited <= 0 || r.latency.Max() < r.service.Max() {
		t.Errorf("mean latency %g, service %g", r.latency.Mean(), r.service.Mean())
	}
}

func TestEngine_CountsWhatIsWrong(t *testing.T) {
	for _, checking := range []bool{true, false} {
		var n atomic.Int64
		ctx, handler := upTo(t, 600, func(http *fasthttp.RequestCtx) {
			switch n.Add(1) % 3 {
			case 0:
				http.SetBodyString("wrong")
			case 1:
				http.SetStatusCode(503)
			default:
				right(http)
			}
		})
		l := newLoad(t, "tcp", handler)
		l.Length, l.Checking = time.Hour, checking
		r := run1(ctx, t, l).total
		if r.errors < 150 || r.answered < 300 || r.firstError == "" || (r.wrong >= 150) != checking {
			t.Errorf("checking %t: %+v", checking, r)
		}
		if deep := l.Scenario.(asker).deepChecks.Load(); deep == 0 { // both sides of a pair have this work beside them
			t.Errorf("checking %t: no answer was checked in full", checking)
		}
	}
}

func TestEngine_ConnectsAgain(t *testing.T) {
	ctx, handler := upTo(t, 20, func(http *fasthttp.RequestCtx) {
		http.SetConnectionClose()
		right(http)
	})
	l := newLoad(t, "tcp", handler)
	l.Length = time.Hour
	if r := run1(ctx, t, l).total; r.errors != 0 || r.answered < 10 {
		t.Errorf("%+v", r)
	}
}

// bareServer answers each connection's bytes with answer, and does not close.
func bareServer(t *testing.T, answer string) Endpoint {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				b := make([]byte, 4096)
				for {
					if _, err := conn.Read(b); err != nil {
						return
					}
					if _, err := conn.Write([]byte(answer)); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		all.Wait()
	})
	return Endpoint{Network: "tcp", Address: ln.Addr().String()}
}

func TestEngine_BadAnswersAreErrors(t *testing.T) {
	f := func(answer, want string) {
		t.Helper()
		l := newLoad(t, "tcp", right)
		l.Target, l.Timeout, l.Length = bareServer(t, answer), 30*time.Millisecond, 100*time.Millisecond
		o := run1(t.Context(), t, l)
		if r := o.total; r.answered != 0 || l.Live.Errors.Load() == 0 || r.errors > 0 && !strings.Contains(r.firstError, want) {
			t.Errorf("%q: %d answered, %d errors, %q; want %q", answer, r.answered, r.errors, r.firstError, want)
		}
	}
	f("", "no answer in time")
	f("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nrig", "no answer in time")
	f("nonsense\r\n\r\n", "status line")
	f("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nrightHTTP", "bytes after the answer")
}

func TestEngine_EndsWhenItIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l := newLoad(t, "tcp", func(http *fasthttp.RequestCtx) {
		right(http)
		cancel()
	})
	l.Length = time.Hour
	o, err := l.Run(ctx)
	if err != nil || !o.interrupted || o.invalid() != "interrupted" {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestEngine_NobodyListens(t *testing.T) {
	l := newLoad(t, "tcp", right)
	l.Target.Network, l.Target.Address = "unix", filepath.Join(t.TempDir(), "nobody")
	if _, err := l.Run(t.Context()); err == nil {
		t.Error("no error")
	}
}
