package torture

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// overloaded is what TestOverload has measured.
type overloaded struct {
	Places int           `json:"max_in_flight"`
	Span   time.Duration `json:"span_ns"`
	Loads  []*offered    `json:"loads"`
}

// offered is one load: Times the most that was done, 0 for the closed loop that found it.
type offered struct {
	Times float64 `json:"times"`
	outcome
	Resident float64 `json:"resident_bytes"`
}

// longForm says whether loads last long enough for what takes time: for a ratio that means something, and until the process has
// cut what is slow.
func longForm() bool { return overloadTime >= 5*time.Second }

// TestOverload offers a process two and ten times as much as it can do. What it can do is little, and has nothing to do with
// the processors: its Redis is far away, and few requests may be at work. It goes on doing as much as before, refuses the rest
// at once, and takes no more memory.
func TestOverload(t *testing.T) {
	if !turnOf(t, 0) {
		return
	}
	const places = 16
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Addr)
	c := newSidecar(t, 0, "redis://"+proxy.Addr+"/0", "--near-cache-bytes", "0", "--max-in-flight", fmt.Sprint(places), "--log-level", "error")
	c.bin = plainBin // the race detector's memory is not ours
	if err := c.start(); err != nil {
		t.Fatal(err)
	}
	known := store(t, c, 1000)
	proxy.Delay(40 * time.Millisecond)
	proxy.Jitter(20 * time.Millisecond) // else round trips go in step, and how they fell in at first decides how many are done
	g := newGenerator(t, c, known.get)
	g.closed(places, overloadTime/4) // connections are made
	g.http.CloseIdleConnections()
	before := c.footprint(t)

	x := &overloaded{Places: places, Span: overloadTime}
	load := func(name string, times float64, connections int, ask func() *outcome) *outcome {
		o := &offered{Times: times}
		o.Resident = c.peak(t, func() { o.outcome = *ask() })
		g.http.CloseIdleConnections()
		o.noWrong(t, name)
		if most := mostMemory(connections); o.Resident > most {
			t.Errorf("%s: the process takes %.0f MiB, more than %.0f", name, o.Resident/mib, most/mib)
		}
		x.Loads = append(x.Loads, o)
		return &o.outcome
	}
	most := load("closed loop", 0, places, func() *outcome { return g.closed(places, overloadTime) })
	if most.Right == 0 || most.Shed > 0 {
		t.Fatalf("as many callers as places: %d were answered right, and %d were shed", most.Right, most.Shed)
	}
	// A short span has few round trips in it, of which one more or less counts.
	least := 0.5
	if longForm() {
		least = 0.8
	}
	for _, times := range []float64{2, 10} {
		const connections = 1024
		name := fmt.Sprintf("%g times the most", times)
		got := load(name, times, connections, func() *outcome {
			return g.open(times*float64(most.Right)/overloadTime.Seconds(), overloadTime, connections)
		})
		if got.Shed == 0 {
			t.Errorf("%s: nothing was shed: %v", name, got)
		}
		if ratio := float64(got.Right) / float64(most.Right); ratio < least {
			t.Errorf("%s: %d are answered right, of %d: %.2f, less than %g", name, got.Right, most.Right, ratio, least)
		}
	}
	c.rests(t, &before)
	after := g.closed(places/2, overloadTime/4)
	after.noWrong(t, "afterwards")
	if after.Right+after.After == 0 || after.Shed > 0 {
		t.Errorf("afterwards %d are answered right, and %d are shed", after.Right+after.After, after.Shed)
	}
	report.add(t, func(r *results) { r.Overloads = append(r.Overloads, x) })
	for _, o := range x.Loads {
		say(t, "%g times: %v; %.0f MiB", o.Times, &o.outcome, o.Resident/mib)
	}
}

// mostMemory is what a process may take with so many connections.
func mostMemory(connections int) float64 { return float64(128*mib + connections*32<<10) }

func (x *overloaded) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "\n## Overload\n\nGets, %v each: Redis far away, `--max-in-flight %d`, near cache off. In a closed loop first, as many callers as places; then times that in an open one. "+
		"\"Unasked\": the generator had no connection free.\n\n", x.Span, x.Places)
	b.WriteString("| times the most | asked | unasked | right | of the most | shed | late | wrong | right: p50, p99 | shed: p50, p99 | memory, MiB |\n|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, o := range x.Loads {
		name := fmt.Sprintf("%g", o.Times)
		if o.Times == 0 {
			name = "closed loop"
		}
		fmt.Fprintf(b, "| %s | %d | %d | %d | %.2f | %d | %d | %d | %.1f, %.1f ms | %.2f, %.2f ms | %.1f |\n", name, o.Asked, o.Unasked, o.Right, float64(o.Right)/float64(x.Loads[0].Right),
			o.Shed, o.Late, o.Wrong, o.P50, o.P99, o.ShedP50, o.ShedP99, o.Resident/mib)
	}
}
