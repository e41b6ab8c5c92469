package httpapi

import (
	"strings"
	"testing"
)

func FuzzETags(f *testing.F) {
	f.Add(`"1"`, uint64(1), false)
	f.Add(`W/"1", "2"`, uint64(2), true)
	f.Add(`*`, uint64(3), false)
	f.Fuzz(func(t *testing.T, list string, sequence uint64, weak bool) {
		if !matches(etag(sequence), sequence, weak) {
			t.Errorf("%s does not match itself", etag(sequence))
		}
		if matches(list, sequence, weak) && !strings.Contains(list, "*") && !strings.Contains(list, etag(sequence)) {
			t.Errorf("%q matches %d", list, sequence)
		}
	})
}
