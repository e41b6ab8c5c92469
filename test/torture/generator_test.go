package torture

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// question is a request, and how a right answer to it is told from others.
type question struct {
	method, path, body string
	right              func(body string) error // of an answer with 200
}

// generator asks one process, at a rate or as fast as it answers, and holds every answer against what it must be: right, or
// 503 with Retry-After. Nothing else is one that a caller may get because there is too much to do.
type generator struct {
	http *fasthttp.HostClient
	addr string
	next func(n int) question // the n-th; called concurrently
}

func newGenerator(t testing.TB, c *sidecar, next func(n int) question) *generator {
	g := &generator{addr: c.api, next: next}
	g.http = &fasthttp.HostClient{
		Addr: c.api, MaxConns: 8192, ReadTimeout: patience,
		MaxIdemponentCallAttempts: 1, // nothing is asked twice: a connection that breaks is a fault
		// Of very many that are opened at once, the kernel takes some a few seconds later.
		Dial: func(addr string) (net.Conn, error) { return net.DialTimeout("tcp", addr, patience) },
	}
	t.Cleanup(g.http.CloseIdleConnections)
	return g
}

// outcome is what came of a generator's questions.
type outcome struct {
	Asked   int  `json:"asked"`
	Unasked int  `json:"unasked"` // they were due, and the generator had no connection free
	Right   int  `json:"right"`   // answered within the span
	After   int  `json:"after"`   // right, and answered after it
	Shed    int  `json:"shed"`    // 503: too many at a time
	Late    int  `json:"late"`    // 503: the store has not answered in time
	Wrong   int  `json:"wrong"`
	P50     ms64 `json:"right_p50_ms"`
	P99     ms64 `json:"right_p99_ms"`
	ShedP50 ms64 `json:"shed_p50_ms"`
	ShedP99 ms64 `json:"shed_p99_ms"`
	faults  []string
	took    []time.Duration // of those that were right, from when they were due
	refused []time.Duration // of those that were shed
	end     time.Time       // of the span
}

// ms64 is a time in milliseconds.
type ms64 float64

// stepTime is within what time callers that were answered together ask again: they are people and programs, and not in step.
const stepTime = 10 * time.Millisecond

// closed lets so many callers ask, each again within stepTime after it was answered.
func (g *generator) closed(callers int, span time.Duration) *outcome {
	parts := make([]outcome, callers)
	end := time.Now().Add(span)
	var wg sync.WaitGroup
	for i := range parts {
		wg.Go(func() {
			parts[i].end = end
			r := chance("generator", i)
			for n := i; time.Now().Before(end); n += callers {
				g.ask(n, time.Now(), &parts[i])
				hold(time.Duration(r.Int64N(int64(stepTime))))
			}
		})
	}
	wg.Wait() // I7
	return sum(parts)
}

// open asks so many times a second, however slow the answers are, on so many connections. What is due and cannot be asked
// for a tenth of a second is left out.
func (g *generator) open(rate float64, span time.Duration, connections int) *outcome {
	type asked struct {
		n   int
		due time.Time
	}
	parts := make([]outcome, connections)
	begun := time.Now()
	waiting := make(chan asked, max(int(rate/10), 1))
	var wg sync.WaitGroup
	for i := range parts {
		wg.Go(func() {
			parts[i].end = begun.Add(span)
			for a := range waiting {
				g.ask(a.n, a.due, &parts[i])
			}
		})
	}
	n, unasked := 0, 0
	for tick := time.NewTicker(time.Millisecond); ; <-tick.C {
		passed := min(time.Since(begun), span)
		for ; float64(n) < rate*passed.Seconds(); n++ {
			select {
			case waiting <- asked{n, begun.Add(time.Duration(float64(n) / rate * float64(time.Second)))}:
			default:
				unasked++
			}
		}
		if passed == span {
			tick.Stop()
			break
		}
	}
	close(waiting)
	wg.Wait() // I7
	all := sum(parts)
	all.Unasked = unasked
	return all
}

// send makes a request. The caller releases the answer.
func (g *generator) send(q *question) (response *fasthttp.Response, err error) {
	request := fasthttp.AcquireRequest()
	defer fasthttp.ReleaseRequest(request)
	response = fasthttp.AcquireResponse()
	request.Header.SetMethod(q.method)
	request.SetRequestURI("http://" + g.addr + q.path)
	request.Header.Set("Authorization", "Bearer "+apiKey)
	request.SetBodyString(q.body)
	return response, g.http.Do(request, response)
}

// ask asks the n-th question, which was due then.
func (g *generator) ask(n int, due time.Time, x *outcome) {
	q := g.next(n)
	response, err := g.send(&q)
	defer fasthttp.ReleaseResponse(response)
	answered := time.Now()
	took := answered.Sub(due)
	x.Asked++
	switch status := response.StatusCode(); {
	case err != nil:
		x.fault("%s %s: %v", q.method, q.path, err)
	case status == http.StatusServiceUnavailable:
		x.unavailable(&q, response, took)
	case status != http.StatusOK:
		x.fault("%s %s: status %d: %.300s", q.method, q.path, status, response.Body())
	default:
		if err := q.right(string(response.Body())); err != nil {
			x.fault("%s %s: %v: %.300s", q.method, q.path, err, response.Body())
			return
		}
		x.took = append(x.took, took)
		if answered.Before(x.end) {
			x.Right++
		} else {
			x.After++
		}
	}
}

// unavailable notes a 503, which must say when to come again.
func (x *outcome) unavailable(q *question, response *fasthttp.Response, took time.Duration) {
	if seconds, err := strconv.Atoi(string(response.Header.Peek("Retry-After"))); err != nil || seconds < 1 {
		x.fault("%s %s: 503 with Retry-After %q", q.method, q.path, response.Header.Peek("Retry-After"))
		return
	}
	switch text := string(response.Body()); {
	case strings.Contains(text, `"too many `):
		x.Shed++
		x.refused = append(x.refused, took)
	case strings.Contains(text, `"the session store is unavailable"`):
		x.Late++
	default:
		x.fault("%s %s: 503: %.300s", q.method, q.path, text)
	}
}

func (x *outcome) fault(format string, args ...any) {
	x.Wrong++
	if len(x.faults) < 5 {
		x.faults = append(x.faults, fmt.Sprintf(format, args...))
	}
}

// String leaves the times out.
func (x *outcome) String() string {
	return fmt.Sprintf("%d asked, %d unasked, %d right and %d after the span, %d shed, %d late, %d wrong; right p99 %v ms, shed p99 %v ms",
		x.Asked, x.Unasked, x.Right, x.After, x.Shed, x.Late, x.Wrong, x.P99, x.ShedP99)
}

func sum(parts []outcome) *outcome {
	all := &outcome{}
	for i := range parts {
		p := &parts[i]
		all.Asked += p.Asked
		all.Right += p.Right
		all.After += p.After
		all.Shed += p.Shed
		all.Late += p.Late
		all.Wrong += p.Wrong
		all.faults = append(all.faults, p.faults...)
		all.took = append(all.took, p.took...)
		all.refused = append(all.refused, p.refused...)
	}
	slices.Sort(all.took)
	slices.Sort(all.refused)
	all.P50, all.P99 = percentile(all.took, 50), percentile(all.took, 99)
	all.ShedP50, all.ShedP99 = percentile(all.refused, 50), percentile(all.refused, 99)
	return all
}

// percentile is one of sorted times, 0 if there are none.
func percentile(sorted []time.Duration, p int) ms64 {
	if len(sorted) == 0 {
		return 0
	}
	return ms64(sorted[min(len(sorted)*p/100, len(sorted)-1)].Microseconds()) / 1000
}

// noWrong fails the test if any answer was wrong.
func (x *outcome) noWrong(t *testing.T, load string) {
	t.Helper()
	if x.Wrong > 0 {
		t.Errorf("%s: %d answers are neither right nor 503 with Retry-After:\n%s", load, x.Wrong, strings.Join(x.faults[:min(len(x.faults), 5)], "\n"))
	}
}
