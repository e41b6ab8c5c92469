package torture

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// flooded is what TestI10_Flood has measured.
type flooded struct {
	Candidates int      `json:"candidates"`
	Alone      *outcome `json:"gets_alone"`
	Beside     *outcome `json:"gets_beside"`
	Searches   *outcome `json:"searches"`
}

// TestI10_Flood makes a flood of the costliest searches that a process does not refuse, while others get sessions: these have
// places and connections of their own, so none of them is shed.
func TestI10_Flood(t *testing.T) {
	if !turnOf(t, 1) {
		return
	}
	const getters, gets, searchers, searches = 8, 200, 32, 50 // at a time, and a second
	server := redistest.Start(t)
	c := newSidecar(t, 0, server.URL(), "--near-cache-bytes", "0", "--search-max-candidates", fmt.Sprint(costliest), "--log-level", "error")
	c.bin = plainBin // its times are not those of the race detector
	if err := c.start(); err != nil {
		t.Fatal(err)
	}
	known := store(t, c, costliest+1)
	storeLater(t, c, costliest+1)
	getting := newGenerator(t, c, known.get)
	searching := newGenerator(t, c, func(int) question { return known.costly(costliest) })
	getting.closed(getters, overloadTime/10) // connections are made
	before := c.footprint(t)

	more := known.costly(costliest + 1)
	response, err := searching.send(&more)
	if err != nil || response.StatusCode() != http.StatusTooManyRequests {
		t.Errorf("a search that costs more is not refused: %v, status %d", err, response.StatusCode())
	}
	fasthttp.ReleaseResponse(response)
	answered := func(when string) {
		t.Helper()
		var one outcome
		if !eventually.Within(patience, func() bool { searching.ask(0, time.Now(), &one); return one.After > 0 }) {
			t.Errorf("%s the costliest search is not answered: %v", when, &one)
		}
		one.noWrong(t, when+" the costliest search")
	}
	answered("before the flood")

	x := &flooded{Candidates: costliest}
	x.Alone = getting.open(gets, overloadTime, getters)
	var flood sync.WaitGroup
	flood.Go(func() { x.Searches = searching.open(searches, overloadTime, searchers) })
	x.Beside = getting.open(gets, overloadTime, getters)
	flood.Wait() // I7
	for name, got := range map[string]*outcome{"gets alone": x.Alone, "gets beside the flood": x.Beside} {
		got.noWrong(t, name)
		if got.Shed > 0 || got.Right+got.After == 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
	x.Searches.noWrong(t, "the flood")
	// On a machine with other work each of them may take all of the store's time.
	if x.Searches.Right+x.Searches.After+x.Searches.Late == 0 {
		t.Errorf("no search of the flood found a place: %v", x.Searches)
	}
	// Both are times of one run. Gets that queue behind searches take hundreds of times as long.
	const most = 50
	if longForm() && x.Beside.P50 > most*x.Alone.P50 {
		t.Errorf("half of the gets take %v ms at least beside the flood, and %v ms alone", x.Beside.P50, x.Alone.P50)
	}
	answered("after the flood")
	searching.http.CloseIdleConnections()
	c.rests(t, &before)
	report.add(t, func(r *results) { r.Floods = append(r.Floods, x) })
	say(t, "gets alone: %v", x.Alone)
	say(t, "gets beside the flood: %v", x.Beside)
	say(t, "the flood: %v", x.Searches)
}

func (x *flooded) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "\n## Flood of costly searches\n\nThe costliest that is not refused: %d sessions are examined, and all match. Near cache off.\n\n", x.Candidates)
	b.WriteString("| | asked | unasked | answered | shed | late | wrong | p50, p99 |\n|---|---|---|---|---|---|---|---|\n")
	for _, row := range []struct {
		name string
		*outcome
	}{{"gets alone", x.Alone}, {"gets beside the flood", x.Beside}, {"the flood", x.Searches}} {
		fmt.Fprintf(b, "| %s | %d | %d | %d | %d | %d | %d | %.1f, %.1f ms |\n", row.name, row.Asked, row.Unasked, row.Right+row.After, row.Shed, row.Late, row.Wrong, row.P50, row.P99)
	}
}
