package live

import (
	"math"
	"strconv"
)

// number is a number in JSON: null if there is none, else rounded to what a chart can show.
type number float64

// MarshalJSON implements json.Marshaler.
func (n number) MarshalJSON() ([]byte, error) { return appendNumber(nil, float64(n)), nil }

// appendNumber appends a number, rounded to four digits, and to no fewer than there are before the point.
func appendNumber(to []byte, n float64) []byte {
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return append(to, "null"...)
	}
	if n == 0 {
		return append(to, '0')
	}
	size := math.Abs(n)
	if size < 1e-9 {
		return append(to, '0')
	}
	decimals := max(0, 3-int(math.Floor(math.Log10(size))))
	begin := len(to)
	to = strconv.AppendFloat(to, n, 'f', decimals, 64)
	if decimals > 0 { // 1.500 is 1.5, and 2.000 is 2
		end := len(to)
		for end > begin && to[end-1] == '0' {
			end--
		}
		if to[end-1] == '.' {
			end--
		}
		to = to[:end]
	}
	return to
}

// total is a count in JSON: a string, as int64 is in the API.
type total float64

// MarshalJSON implements json.Marshaler.
func (t total) MarshalJSON() ([]byte, error) {
	return strconv.AppendQuote(nil, strconv.FormatFloat(float64(t), 'f', 0, 64)), nil
}
