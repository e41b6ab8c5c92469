package live

import (
	"encoding/json"
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestNumber_InJSON(t *testing.T) {
	for n, want := range map[float64]string{
		0: "0", 1: "1", 1.5: "1.5", -2.5: "-2.5", 0.00012346: "0.0001235", 12.3456: "12.35", 1234.5: "1234", 123456789: "123456789", 999.96: "1000",
		0.1: "0.1", 1e-300: "0", math.NaN(): "null", math.Inf(1): "null", math.Inf(-1): "null", 1e15: "1000000000000000",
	} {
		if got := string(appendNumber(nil, n)); got != want {
			t.Errorf("%v is %s, want %s", n, got, want)
		}
	}
}

// Every number is valid JSON, and right to four digits.
func TestNumber_IsRightToFourDigits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Float64().Draw(t, "n")
		text := appendNumber(nil, n)
		var got float64
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%v is %s: %v", n, text, err)
		}
		if math.Abs(got-n) > max(5e-4*math.Abs(n), 1e-9) && !math.IsInf(n, 0) && !math.IsNaN(n) {
			t.Fatalf("%v is %s", n, text)
		}
	})
}
