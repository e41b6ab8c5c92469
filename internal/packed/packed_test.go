package packed

import (
	"strings"
	"testing"
)

func TestAppendAndCut(t *testing.T) {
	f := func(text string, size int) {
		t.Helper()
		b := Append([]byte("x"), text)
		if len(b) != 1+size {
			t.Errorf("%.40q takes %d bytes, want %d", text, len(b)-1, size)
		}
		got, rest, ok := Cut(string(b[1:]) + "rest")
		if got != text || rest != "rest" || !ok {
			t.Errorf("%.40q came back as %.40q, %q, %v", text, got, rest, ok)
		}
		if got, rest, ok := AppendCut([]byte("before"), string(b[1:])+"rest"); string(got) != "before"+text || rest != "rest" || !ok {
			t.Errorf("%.40q was appended as %.40q, %q, %v", text, got, rest, ok)
		}
		for n := range len(b) - 1 {
			if got, _, ok := Cut(string(b[1 : 1+n])); ok {
				t.Errorf("%d bytes of %.40q are %.40q", n, text, got)
			}
		}
	}
	f("", 1)
	f("a", 2)
	f("123456789", 10)
	f("1234567890", 9)
	f("0123456789", 7) // hexadecimal digits
	f("9223372036854775807", 9)
	f("9223372036854775808", 20)
	f("+123456789", 11)
	f("-123456789", 11)
	f("1234567_90", 11)
	f("abcdef", 7)
	f("abcdef01", 6)
	f("abcdef012", 10)
	f("ABCDEF01", 9)
	f(strings.Repeat("ab", 127), 129)
	f(strings.Repeat("ab", 128), 258)
	f("3f9d2c7a-7c1e-4f0a-9b57-1de0ab43c982", 17)
	f("3f9d2c7a-7c1e-4f0a-9b57-1de0ab43c98g", 37)
	f("3F9D2C7A-7C1E-4F0A-9B57-1DE0AB43C982", 37)
	f("3f9d2c7a-7c1e-4f0a-9b57+1de0ab43c982", 37)
	f(strings.Repeat("é", 63), 127)
	f(strings.Repeat("é", 64), 130)
	f(strings.Repeat("x", MaxLen), MaxLen+2)
	f("\x00\xff", 3)
}

func FuzzCut(f *testing.F) {
	for _, text := range []string{"", "a", "1234567890", "abcdef01", "3f9d2c7a-7c1e-4f0a-9b57-1de0ab43c982", strings.Repeat("x", 200)} {
		f.Add(string(Append(nil, text)))
	}
	f.Add("\xff12")
	f.Fuzz(func(t *testing.T, s string) {
		text, rest, ok := Cut(s)
		if appended, behind, appends := AppendCut(nil, s); string(appended) != text || behind != rest || appends != ok {
			t.Fatalf("Cut: %q, %q, %v; AppendCut: %q, %q, %v", text, rest, ok, appended, behind, appends)
		}
		if !ok {
			return
		}
		if !strings.HasSuffix(s, rest) {
			t.Fatalf("the rest of %q is %q", s, rest)
		}
		if again, _, ok := Cut(string(Append(nil, text))); !ok || again != text {
			t.Fatalf("%q came back as %q, %v", text, again, ok)
		}
	})
}
