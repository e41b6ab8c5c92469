package verify

import (
	"encoding/json"
	"errors"
	"math"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
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

// Whatever a cookie of the login application has: what is taken of it is an entry of the list that it is, whole and not expired, and no other one changed later.
func FuzzLoginCookie(f *testing.F) {
	for _, seed := range []string{
		"[]", "[{}]", "[null]", "%5B%5D", "%5b%7B%22id%22%3A%221%22%2C%22token%22%3A%22t%22%7D%5D", `[{"id":"1","token":"t","changeTs":"5","creationTs":7,"expirationTs":""}]`,
		`[{"id":"1","token":"t","changeTs":"5"},{"id":"2","token":"u","changeTs":"5"},{"id":"3","token":"v","changeTs":"9","expirationTs":"1"}]`,
		`[{"id":"1","token":"a b"},{"id":"","token":"t"},{"id":"2","token":""}]`, `[{"id":1}]`, `["x"]`, "[[[[", "%5", "%zz", `[{"id":"1","token":"t","changeTs":"-9223372036854775808"}] x`,
	} {
		f.Add(seed)
	}
	now := session.TimeOf(time.UnixMilli(1000))
	f.Fuzz(func(t *testing.T, text string) {
		id, token, err := parseLoginCookie([]byte(text), now)
		if err != nil {
			if id != "" || token != nil || err != errMalformed && err != errNoLogin && !errors.Is(err, session.ErrExpired) {
				t.Errorf("%q: %q, %q, %v", text, id, token, err)
			}
			return
		}
		plain, err := url.PathUnescape(text)
		if err != nil {
			t.Fatalf("%q passes: %v", text, err)
		}
		var list []struct {
			ID, Token              string
			ChangeTs, ExpirationTs json.RawMessage
		}
		if err := json.Unmarshal([]byte(plain), &list); err != nil {
			t.Fatalf("%q passes: %v", text, err)
		}
		number := func(raw json.RawMessage) (n int64) {
			var m millis
			_ = m.UnmarshalJSON(raw)
			return int64(m)
		}
		var found bool
		changed, latest := int64(math.MinInt64), int64(math.MinInt64)
		for _, e := range list {
			expires := number(e.ExpirationTs)
			if e.Token == "" || !plainToken([]byte(e.Token)) || expires != 0 && expires <= 1000 {
				continue
			}
			if _, bad := session.ParseID(e.ID); bad != nil {
				continue
			}
			latest = max(latest, number(e.ChangeTs))
			if e.ID == string(id) && e.Token == string(token) {
				found, changed = true, max(changed, number(e.ChangeTs))
			}
		}
		if !found || changed < latest {
			t.Errorf("%q: %q, %q: found %v, changed %d, and another one at %d", text, id, token, found, changed, latest)
		}
	})
}

func TestLoginCookie_Bounds(t *testing.T) {
	entry := `{"id":"1","token":"t"}`
	for _, c := range []struct {
		text string
		want error
	}{
		{"[" + strings.Repeat(entry+",", maxLoginSessions-1) + entry + "]", nil},
		{"[" + strings.Repeat(entry+",", maxLoginSessions) + entry + "]", errMalformed},
		{"[" + entry + strings.Repeat(" ", maxLoginCookie-len(entry)-2) + "]", nil},
		{"[" + entry + strings.Repeat(" ", maxLoginCookie-len(entry)-1) + "]", errMalformed},
		{`[{"id":"1","token":"` + strings.Repeat("t", maxTokenLen+1) + `"}]`, errMalformed},
	} {
		if _, _, err := parseLoginCookie([]byte(c.text), 0); err != c.want {
			t.Errorf("%d bytes: got %v, want %v", len(c.text), err, c.want)
		}
	}
}
