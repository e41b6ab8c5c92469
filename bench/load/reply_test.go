package load

import "testing"

func TestParseReply(t *testing.T) {
	f := func(in string, want int) {
		t.Helper()
		if n, err := ParseReply([]byte(in)); n != want || err != nil {
			t.Errorf("parseReply(%q): %d, %v; want %d", in, n, err, want)
		}
	}
	f("$3\r\nabc\r\n$1\r\n", 9)
	f("*2\r\n$1\r\na\r\n$2\r\nbc\r\n", 19)
	f("*0\r\n", 4)
	f("*2\r\n$1\r\na\r\n$2\r\nb", 0)
	f("$3\r\nab", 0)
	f("$", 0)
	if _, err := ParseReply([]byte("-LOADING\r\n")); err == nil {
		t.Error("an error reply is taken for one with a value")
	}
	if _, err := ParseReply([]byte("$-1\r\n")); err == nil {
		t.Error("an absent value is taken for one")
	}
}
