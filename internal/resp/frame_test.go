package resp

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// drawReply draws a reply of any shape that reads get, and appends it.
func drawReply(t *rapid.T, b []byte, depth int) []byte {
	kinds := []string{"text", "nothing", "null", "simple", "number", "error"}
	if depth > 0 {
		kinds = append(kinds, "array", "array", "map", "set")
	}
	switch kind := rapid.SampledFrom(kinds).Draw(t, "kind"); kind {
	case "text":
		text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"\r\n", "$3\r\n", "*1\r\n", strings.Repeat("x", 5000)})).Draw(t, "text")
		return fmt.Appendf(b, "$%d\r\n%s\r\n", len(text), text)
	case "nothing":
		return append(b, "$-1\r\n"...)
	case "null":
		return append(b, "_\r\n"...)
	case "simple":
		return append(b, "+OK\r\n"...)
	case "number":
		return append(b, ":12\r\n"...)
	case "error":
		return append(b, "-ERR no\r\n"...)
	default:
		n := rapid.IntRange(0, 4).Draw(t, "parts")
		b = fmt.Appendf(b, "%s%d\r\n", map[string]string{"array": "*", "map": "%", "set": "~"}[kind], n)
		if kind == "map" {
			n *= 2
		}
		for range n {
			b = drawReply(t, b, depth-1)
		}
		return b
	}
}

// However replies are cut into pieces, each ends where it ends.
func TestFrame_FindsTheEndOfEachReply(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []byte
		var want []int
		for range rapid.IntRange(1, 5).Draw(t, "replies") {
			all = drawReply(t, all, 3)
			want = append(want, len(all))
		}
		var f Frame
		var got []int
		start, come := 0, 0
		for come < len(all) {
			come += rapid.IntRange(1, len(all)-come).Draw(t, "piece")
			for {
				n, err := f.Next(all[start:come], 1<<20)
				if err != nil {
					t.Fatalf("%q: %v", all[:come], err)
				}
				if n == 0 {
					break
				}
				start += n
				got = append(got, start)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%q: ends at %v, want %v", all, got, want)
		}
	})
}

func TestFrame_Refuses(t *testing.T) {
	for _, b := range []string{
		"?1\r\n", "$x\r\n", "$1", "$\r\n", "$123456789\r\n", "*9999999\r\n", "\r\n", "\n", "$3\n", ">2\r\n", "|1\r\n", "+" + strings.Repeat("x", 2000), "$1500\r\n", "$1\r\nabc", "*1\r\n$1\r\na\n\r",
	} {
		var f Frame
		n, err := f.Next([]byte(b), 1000)
		if short := b == "$1"; n != 0 || (err == nil) != short {
			t.Errorf("%.20q: %d, %v", b, n, err)
		}
	}
}

func TestReplies_TextAndArray(t *testing.T) {
	r := Replies("*2\r\n$3\r\na\r\n\r\n$-1\r\n-WRONGTYPE no\r\n$0\r\n\r\n_\r\n:12\r\n,1.5\r\n-ERR x\r\n")
	if n, err := r.Array(); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	f := func(want string, is bool, wantErr error) {
		t.Helper()
		if text, was, err := r.Text(); string(text) != want || was != is || err != wantErr {
			t.Errorf("got %q, %v, %v", text, was, err)
		}
	}
	f("a\r\n", true, nil)
	f("", false, nil)
	f("", false, ReplyError("WRONGTYPE no"))
	f("", true, nil)
	f("", false, nil)
	f("12", true, nil)
	f("1.5", true, nil)
	if _, err := r.Array(); err != ReplyError("ERR x") {
		t.Error(err)
	}
	f("", false, errRESP)
}

// Nothing that comes makes Frame or Replies read beyond it.
func FuzzFrame(f *testing.F) {
	f.Add([]byte("*2\r\n$3\r\nabc\r\n$-1\r\n"))
	f.Add([]byte("%1\r\n+a\r\n:1\r\n-ERR\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var whole Frame
		n, err := whole.Next(b, 1<<20)
		if n < 0 || n > len(b) {
			t.Fatalf("%d of %d", n, len(b))
		}
		var pieces Frame
		for i := 1; i <= len(b); i++ {
			m, pieceErr := pieces.Next(b[:i], 1<<20)
			if m != 0 || pieceErr != nil {
				if err == nil && m != n {
					t.Fatalf("%q: %d at once, %d in pieces, %v", b, n, m, pieceErr)
				}
				break
			}
		}
		r := Replies(bytes.Clone(b))
		for range 3 {
			_, _, _ = r.Text()
			_, _ = r.Array()
		}
	})
}
