package quantity

import (
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/bench/result"
)

func TestSideBySide_ComparesWithinARound(t *testing.T) {
	run := func(peer string, connections int, rate float64, invalid string) result.Run {
		return result.Run{Peer: peer, Connections: connections, Achieved: rate, Invalid: invalid, Figures: map[string]float64{"postgres_cpu_us_per_request": 7}}
	}
	r := &result.Result{Runs: []result.Run{
		run("cloakroom", 8, 100, ""), run("a", 8, 50, ""), // the first round
		run("a", 8, 10, "noise"), run("cloakroom", 8, 300, ""),
		run("cloakroom", 8, 900, ""), run("a", 8, 100, ""),
		run("cloakroom", 1, 10, ""), run("a", 1, 20, ""),
	}}
	sides := ByConnections(r)
	if len(sides) != 2 || sides[0].Connections != 8 || sides[1].Connections != 1 {
		t.Fatalf("%+v", sides)
	}
	own := sides[0].Own()
	if len(own) != 1 || own[0].Name != "cloakroom" {
		t.Fatalf("%+v", own)
	}
	if got := own[0].RatiosTo(sides[0].Peers[1]); !slices.Equal(got, Sample{2, 9}) {
		t.Errorf("ratios %v", got)
	}
	head, rows := sides[0].Table()
	if len(rows) != 2 || len(rows[0]) != len(head) {
		t.Fatalf("%q, %q", head, rows)
	}
	if got, want := strings.Join(rows[1], "|"), "a|75.0/s (50.0–100)|5.50 (2.00–9.00)|0 µs|0 µs|–|7.00|–"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
