package compare

import (
	"fmt"

	"github.com/cloakroom-dev/cloakroom/bench/quantity"
)

// verdictWords say what it means that B is higher or lower than A.
type verdictWords struct{ higher, lower string }

var (
	higherIsFaster = verdictWords{"faster", "slower"}
	lowerIsFaster  = verdictWords{"slower", "faster"}
	moreOrFewer    = verdictWords{"more", "fewer"}
	higherOrLower  = verdictWords{"higher", "lower"}
)

// unitWords say it of what has that unit.
var unitWords = map[quantity.Unit]verdictWords{
	quantity.Plain:        higherOrLower,
	quantity.PerSecond:    higherIsFaster,
	quantity.Microseconds: lowerIsFaster,
	quantity.Share:        moreOrFewer,
}

const (
	withinNoise = "within noise"
	unknown     = "unknown"
)

// of returns the word for a direction of B.
func (w verdictWords) of(direction int) string {
	switch {
	case direction > 0:
		return w.higher
	case direction < 0:
		return w.lower
	default:
		return withinNoise
	}
}

// newRow compares the repeats of one quantity.
func newRow(name string, u quantity.Unit, words verdictWords, a, b quantity.Sample) comparisonRow {
	row := comparisonRow{name: name, a: u.Spread(a), b: u.Spread(b), change: "–", verdict: unknown}
	if len(a) > 0 && len(b) > 0 {
		row.change = change(a.Median(), b.Median())
	}
	direction, how := decide(a, b)
	row.decided = how
	if min(len(a), len(b)) > 1 {
		row.verdict = words.of(direction)
	}
	return row
}

// change writes by how many per cent b differs from a.
func change(a, b float64) string {
	switch {
	case a == b:
		return "0 %"
	case a == 0:
		return "–"
	default:
		return fmt.Sprintf("%+.1f %%", (b/a-1)*100)
	}
}

// addMax compares the highest rates that held. What is known of such a rate is an
// interval: it ends below the lowest higher rate that did not hold, and begins
// at the lowest rate that did not hold if that was lower.
func (c *comparison) addMax() {
	a, b := quantity.MaxInterval(c.a.Max), quantity.MaxInterval(c.b.Max)
	row := comparisonRow{
		name: "highest rate", a: quantity.MaxText(c.a.Max.Rate, a), b: quantity.MaxText(c.b.Max.Rate, b),
		change: change(c.a.Max.Rate, c.b.Max.Rate), verdict: higherIsFaster.of(separate(a, b)), decided: "ranges",
	}
	c.tables = append(c.tables, comparisonTable{"Highest rate that holds " + c.a.Max.Objective, []comparisonRow{row}})
}
