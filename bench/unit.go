package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// unit is how a value is written.
type unit int

const (
	plain        unit = iota
	perSecond         // requests a second
	microseconds      // a time in µs, written in µs, ms or s
	share             // 0 to 1, written in %
)

// scale returns what a value near v is multiplied by, and the suffix that it then has.
func (u unit) scale(v float64) (factor float64, suffix string) {
	switch {
	case u == perSecond:
		return 1, "/s"
	case u == share:
		return 100, " %"
	case u == microseconds && v >= 1e6:
		return 1e-6, " s"
	case u == microseconds && v >= 1000:
		return 1e-3, " ms"
	case u == microseconds:
		return 1, " µs"
	default:
		return 1, ""
	}
}

// text writes v with its unit.
func (u unit) text(v float64) string {
	factor, suffix := u.scale(v)
	return digits(v*factor) + suffix
}

// spread writes the median of s, and its lowest and highest value if there are several.
func (u unit) spread(s sample) string {
	if len(s) == 0 {
		return "–"
	}
	median := s.median()
	if s.lowest() == s.highest() {
		return u.text(median)
	}
	factor, suffix := u.scale(median)
	return fmt.Sprintf("%s%s (%s–%s)", digits(median*factor), suffix, digits(s.lowest()*factor), digits(s.highest()*factor))
}

// digits writes v with three digits, or all of its whole ones with commas.
func digits(v float64) string {
	switch size := math.Abs(v); {
	case math.IsInf(v, 0) || math.IsNaN(v):
		return "–"
	case size >= 999.5:
		return commas(strconv.FormatFloat(v, 'f', 0, 64))
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

// commas puts a comma between each three digits of a whole number.
func commas(s string) string {
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
