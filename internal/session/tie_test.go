package session

import (
	"strings"
	"testing"
)

func TestTie(t *testing.T) {
	f := func(sessionID, user string, want Tie, wantOK bool) {
		t.Helper()
		got, ok := NewTie(sessionID, user)
		if got != want || ok != wantOK {
			t.Errorf("got %v %v, want %v %v", got, ok, want, wantOK)
		}
		if !ok {
			return
		}
		if stored, err := ParseTie(got.String()); stored != got || err != nil {
			t.Errorf("%q was read as %v, %v", got.String(), stored, err)
		}
	}
	f("163840776835432705", "7", Tie{"163840776835432705", "7"}, true)
	f("163840776835432705", "a b", Tie{"163840776835432705", "a b"}, true)
	f("V1_163840776835432705", "7", Tie{"", "7"}, true)
	f("", "7", Tie{"", "7"}, true)
	f("V2_1", "7", Tie{"V2_1", "7"}, true)
	f("1", "", Tie{}, false)
	f("1", strings.Repeat("x", MaxNameLen+1), Tie{}, false)
	f("a b", "7", Tie{}, false)
	for _, damaged := range []string{"", "1", "1 ", "ä 7"} {
		if got, err := ParseTie(damaged); err == nil {
			t.Errorf("%q was read as %v", damaged, got)
		}
	}
}
