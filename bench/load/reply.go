package load

import (
	"bytes"
	"fmt"
)

// ParseReply returns the length of the reply that b begins with, 0 if it is only
// the begin of one. It knows bulk strings and arrays of them.
func ParseReply(b []byte) (int, error) {
	i := bytes.Index(b, endOfLine)
	if i < 0 {
		return 0, nil
	}
	end := i + len(endOfLine)
	if b[0] != '$' && b[0] != '*' {
		return 0, fmt.Errorf("the reply %.100q", b[:i])
	}
	n, err := number(b[1:i], 10)
	if err != nil {
		return 0, fmt.Errorf("the reply %.100q", b[:i])
	}
	if b[0] == '$' {
		if end += n + len(endOfLine); end > len(b) {
			return 0, nil
		}
		return end, nil
	}
	for range n {
		used, err := ParseReply(b[end:])
		if used == 0 || err != nil {
			return 0, err
		}
		end += used
	}
	return end, nil
}
