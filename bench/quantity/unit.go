package quantity

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Unit is how a value is written.
type Unit int

const (
	Plain        Unit = iota // a number without a unit
	PerSecond                // requests a second
	Microseconds             // a time in µs, written in µs, ms or s
	Share                    // 0 to 1, written in %
)

// Scale returns what a value near v is multiplied by, and the suffix that it then has.
func (u Unit) Scale(v float64) (factor float64, suffix string) {
	switch {
	case u == PerSecond:
		return 1, "/s"
	case u == Share:
		return 100, " %"
	case u == Microseconds && v >= 1e6:
		return 1e-6, " s"
	case u == Microseconds && v >= 1000:
		return 1e-3, " ms"
	case u == Microseconds:
		return 1, " µs"
	default:
		return 1, ""
	}
}

// Text writes v with its unit.
func (u Unit) Text(v float64) string {
	factor, suffix := u.Scale(v)
	return Digits(v*factor) + suffix
}

// Spread writes the median of s, and its lowest and highest value if they differ; a
// dash if s is empty.
func (u Unit) Spread(s Sample) string {
	if len(s) == 0 {
		return "–"
	}
	median := s.Median()
	if s.Lowest() == s.Highest() {
		return u.Text(median)
	}
	factor, suffix := u.Scale(median)
	return fmt.Sprintf("%s%s (%s–%s)", Digits(median*factor), suffix, Digits(s.Lowest()*factor), Digits(s.Highest()*factor))
}

// Digits writes v with three digits, or all of its whole ones with commas.
func Digits(v float64) string {
	switch size := math.Abs(v); {
	case math.IsInf(v, 0) || math.IsNaN(v):
		return "–"
	case size >= 999.5:
		return Commas(strconv.FormatFloat(v, 'f', 0, 64))
	case size >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case size >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case size >= 0.995:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case size >= 0.0995:
		return strconv.FormatFloat(v, 'f', 3, 64)
	case size >= 0.001 || v == 0:
		return strconv.FormatFloat(v, 'g', 3, 64)
	default:
		return strconv.FormatFloat(v, 'e', 1, 64)
	}
}

// Commas puts a comma between each three digits of a whole number.
func Commas(s string) string {
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// OrNone returns s, or "none" if it is "".
func OrNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
