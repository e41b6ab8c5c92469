package scenario

import "strings"

// pattern is a request with digits in it that change.
type pattern struct {
	bytes []byte
	at    int // where the digits begin
}

// newPattern finds the digits by their place-holder, a row of '#'.
func newPattern(b []byte) pattern {
	return pattern{bytes: b, at: strings.IndexByte(string(b), '#')}
}

// put writes n into the place-holder.
func (t pattern) put(n int) { putDigits(t.bytes[t.at:], n, digitsIn(t.bytes[t.at:])) }

func digitsIn(b []byte) int {
	n := 0
	for n < len(b) && (b[n] == '#' || '0' <= b[n] && b[n] <= '9') {
		n++
	}
	return n
}

// putDigits writes n in that many digits.
func putDigits(b []byte, n, digits int) {
	for i := digits - 1; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
}

// places returns a place-holder.
func places(digits int) string { return strings.Repeat("#", digits) }
