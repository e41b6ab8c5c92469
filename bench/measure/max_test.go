package measure

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// capacity is a target that holds every rate up to its own.
func capacity(limit float64) func(float64, string) (string, error) {
	return func(rate float64, _ string) (string, error) {
		if rate > limit {
			return "too much", nil
		}
		return "", nil
	}
}

func TestMaxSearch_FindsTheCapacity(t *testing.T) {
	for _, limit := range []float64{1, 30, 999, 1000, 1001, 7777, 20_000, 123_456} {
		m := maxSearch{from: 1000, to: 1e6, factor: 1.5, precision: 0.05, try: capacity(limit)}
		rate, tries, err := m.run()
		if err != nil || rate > limit || rate < limit/1.06 && limit >= 30 {
			t.Errorf("capacity %g: %g, %v", limit, rate, err)
		}
		if len(tries) > 40 {
			t.Errorf("capacity %g: %d tries", limit, len(tries))
		}
	}
}

func TestMaxSearch_StopsAtTheHighest(t *testing.T) {
	rate, tries, err := maxSearch{from: 1000, to: 5000, factor: 2, precision: 0.05, try: capacity(1e9)}.run()
	if err != nil || rate != 5000 {
		t.Errorf("%g, %v", rate, err)
	}
	var steps []string
	for _, try := range tries {
		steps = append(steps, fmt.Sprintf("%s %g", try.Step, try.Rate))
	}
	want := "step 1000,step 2000,step 4000,step 5000,hold 5000,confirm 5000,confirm 5000,confirm 5000"
	if got := strings.Join(steps, ","); got != want {
		t.Errorf("%s; want %s", got, want)
	}
}

func TestMaxSearch_LowersWhatDoesNotHoldAgain(t *testing.T) {
	confirmed := 0
	m := maxSearch{from: 1000, to: 1000, factor: 2, precision: 0.05, try: func(rate float64, step string) (string, error) {
		if step == "confirm" {
			if confirmed++; confirmed == 2 {
				return "not again", nil
			}
		}
		return "", nil
	}}
	if rate, _, err := m.run(); err != nil || rate != 950 {
		t.Errorf("%g, %v; want 950", rate, err)
	}
}

func TestMaxSearch_NothingHolds(t *testing.T) {
	if rate, _, err := (maxSearch{from: 1000, to: 1e6, factor: 2, precision: 0.05, try: capacity(0)}).run(); err != nil || rate != 0 {
		t.Errorf("%g, %v", rate, err)
	}
	broken := errors.New("broken")
	if _, _, err := (maxSearch{from: 1, to: 2, factor: 2, precision: 0.05, try: func(float64, string) (string, error) { return "", broken }}).run(); !errors.Is(err, broken) {
		t.Error(err)
	}
}
