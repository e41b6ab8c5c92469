package protojson

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestAppendString(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := string(AppendString([]byte("x"), in)); got != "x"+want {
			t.Errorf("%q: got %s, want %s", in, got[1:], want)
		}
	}
	f("", `""`)
	f("plain", `"plain"`)
	f(`a"b\c/d`, `"a\"b\\c/d"`)
	f("\b\f\n\r\t", `"\b\f\n\r\t"`)
	f("\x00\x01\x1f\x7f", `"\u0000\u0001\u001f`+"\x7f\"")
	f("<&>\u2028", "\"<&>\u2028\"")
	f("Müller 😀", `"Müller 😀"`)
	f("a\xffb\xc3", "\"a\uFFFDb\uFFFD\"")
	f("\uFFFD", "\"\uFFFD\"")
	f("\xed\xa0\x80", "\"\uFFFD\uFFFD\uFFFD\"")
}

func TestAppendTime(t *testing.T) {
	f := func(micros int64, want string) {
		t.Helper()
		if got := string(AppendTime(nil, micros)); got != `"`+want+`"` {
			t.Errorf("%d: got %s, want %s", micros, got, want)
		}
		if back, ok := ParseTime([]byte(want)); !ok || back.UnixMicro() != micros {
			t.Errorf("%s: reads as %v, %v", want, back, ok)
		}
	}
	f(0, "1970-01-01T00:00:00Z")
	f(1, "1970-01-01T00:00:00.000001Z")
	f(10, "1970-01-01T00:00:00.000010Z")
	f(1000, "1970-01-01T00:00:00.001Z")
	f(500_000, "1970-01-01T00:00:00.500Z")
	f(-1, "1969-12-31T23:59:59.999999Z")
	f(-62135596800_000000, "0001-01-01T00:00:00Z")
	f(253402300799_999999, "9999-12-31T23:59:59.999999Z")
	f(time.Date(2026, 3, 4, 5, 6, 7, 89_000_000, time.UTC).UnixMicro(), "2026-03-04T05:06:07.089Z")
	f(time.Date(2024, 2, 29, 23, 59, 59, 120_034_000, time.UTC).UnixMicro(), "2024-02-29T23:59:59.120034Z")
}

func TestAppendUint64(t *testing.T) {
	if got := string(AppendUint64(nil, 18446744073709551615)); got != `"18446744073709551615"` {
		t.Error(got)
	}
	if got := string(AppendUint64(nil, 0)); got != `"0"` {
		t.Error(got)
	}
}

func TestAppendBytes(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := string(AppendBytes(nil, []byte(in))); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
	f("", `""`)
	f("a", `"YQ=="`)
	f("\xfb\xff\xbf", `"+/+/"`)
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "a\"\\\x00\x1f\x7f", "\xff\xed\xa0\x80é😀\u2028", strings.Repeat("\n", 10)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		quoted := AppendString(nil, in)
		var got, ours string
		if err := json.Unmarshal(quoted, &got); err != nil || !utf8.Valid(quoted) {
			t.Fatalf("%q became %q: %v", in, quoted, err)
		}
		if err := Decode(append(append([]byte(`{"a":`), quoted...), '}'), func(r *Reader) error {
			return r.Object(func(string) error { return r.String(&ours) })
		}); err != nil || ours != got {
			t.Fatalf("%q reads as %q here and as %q with encoding/json: %v", quoted, ours, got, err)
		}
		// Every invalid byte is one U+FFFD.
		if want := string([]rune(in)); got != want {
			t.Fatalf("%q came back as %q", in, got)
		}
	})
}
