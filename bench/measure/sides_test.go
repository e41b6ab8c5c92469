package measure

import (
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/bench/result"
)

func TestPrintSides(t *testing.T) {
	run := func(side string, rate, p50 float64) result.Run {
		return result.Run{Side: side, Label: "get", Mode: "closed", Achieved: rate, Latency: result.Distribution{P50: p50, P90: 2 * p50, P99: 4 * p50}}
	}
	invalid := run("a", 9, 9)
	invalid.Invalid = "the generator was late"
	var out strings.Builder
	printSides(&out, []result.Run{run("a", 100, 250), run("b", 10, 2000), run("a", 300, 350), run("a", 200, 300), invalid})
	for _, want := range []string{
		"| a: get, closed loop | 200 (100–300) | 300 µs (250–350) | 600 µs (500–700) | 1.20 ms (1.00–1.40) |\n",
		"| b: get, closed loop | 10.0 | 2.00 ms | 4.00 ms | 8.00 ms |\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in %q", want, out.String())
		}
	}
}
