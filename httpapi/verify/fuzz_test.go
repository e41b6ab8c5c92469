package verify

import (
	"strings"
	"testing"
)

// A cookie is found where a plain reading finds it.
func FuzzCookie(f *testing.F) {
	for _, seed := range []string{"s=1", "a=b; s=\"x\"", "s=1; s=2", " s = 1", "s=;s=", "xs=1;s", ";;s=a=b;", "s=\t1 "} {
		f.Add(seed, "s=z")
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		var want []string
		for _, header := range []string{first, second} {
			for _, pair := range strings.Split(header, ";") {
				name, value, ok := strings.Cut(strings.TrimLeft(pair, " \t"), "=")
				if !ok || name != "s" {
					continue
				}
				value = strings.TrimRight(value, " \t")
				if len(value) >= 2 && strings.HasPrefix(value, `"`) && strings.HasSuffix(value, `"`) {
					value = value[1 : len(value)-1]
				}
				want = append(want, value)
			}
		}
		got, present, clear := cookie([][]byte{[]byte(first), []byte(second)}, "s")
		same := true
		for _, v := range want {
			same = same && v == want[0]
		}
		if present != (len(want) > 0) || clear != same || present && clear && string(got) != want[0] {
			t.Errorf("%q, %q: got %q, %v, %v, want %q", first, second, got, present, clear, want)
		}
	})
}

// A policy that is accepted asks for what its text says, and for no other.
func FuzzParsePolicy(f *testing.F) {
	for _, seed := range []string{"a=factors:password+webAuthN,max_age:15m,organizations:1+2", "a=max_age:1h", "=", "a=b", "a=factors:password,factors:totp"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name, p, err := ParsePolicy(text)
		if err != nil {
			return
		}
		var parts []string
		if p.Factors != 0 {
			var names []string
			for n := range p.Factors.Names() {
				names = append(names, n)
			}
			parts = append(parts, "factors:"+strings.Join(names, "+"))
		}
		if p.MaxAge != 0 {
			parts = append(parts, "max_age:"+p.MaxAge.String())
		}
		if len(p.Organizations) > 0 {
			parts = append(parts, "organizations:"+strings.Join(p.Organizations, "+"))
		}
		if len(parts) == 0 {
			t.Fatalf("%q asks for nothing", text)
		}
		again, q, err := ParsePolicy(name + "=" + strings.Join(parts, ","))
		if err != nil || again != name || q.Factors != p.Factors || q.MaxAge != p.MaxAge || strings.Join(q.Organizations, "+") != strings.Join(p.Organizations, "+") {
			t.Errorf("%q is read as %+v, written as %q, read again as %+v, %v", text, p, parts, q, err)
		}
	})
}
