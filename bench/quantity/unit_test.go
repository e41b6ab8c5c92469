package quantity

import "testing"

func TestDigits(t *testing.T) {
	f := func(v float64, want string) {
		t.Helper()
		if got := Digits(v); got != want {
			t.Errorf("digits(%v): got %q, want %q", v, got, want)
		}
	}
	f(0, "0")
	f(0.0000123, "1.2e-05")
	f(0.0123, "0.0123")
	f(0.9, "0.900")
	f(0.9999, "1.00")
	f(9.999, "10.0")
	f(99.99, "100")
	f(999.9, "1,000")
	f(-1_234_567, "-1,234,567")
}
