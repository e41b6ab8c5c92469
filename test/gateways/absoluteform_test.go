package gateways

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// A request line may name a host, too (absolute form), and another one than Host does. What the application is told is from one of
// the two, with its port or without; never the host of one with the port of the other.
func TestSpoofing_HostOfTwoSources(t *testing.T) {
	forEach(t, []gateway{nginx{}, haproxy{}, caddy{}}, func(t *testing.T, g gateway) {
		w := newWorld(t, g)
		v := w.ours.login(t, "absolute")
		for _, f := range []struct{ line, host string }{
			{"", clientHost},
			{"", strings.ToUpper(clientHost)},
			{"", "app.example"},
			{"", "[::1]:8000"},
			{clientHost, clientHost},
			{clientHost, strings.ToUpper(clientHost)},
			{"evil.example", clientHost},
			{"evil.example:9443", clientHost},
			{clientHost, "evil.example"},
			{clientHost, "evil.example:9443"},
			{"app.example", clientHost},
			{"example", clientHost},
			{"app.example", "app.example.evil:9443"},
			{"xapp.example", clientHost},
			{clientHost, "app.example:9443"},
		} {
			r := request{target: "/x", host: f.host}.by(v)
			if f.line != "" {
				r.target = "http://" + f.line + "/x"
			}
			response, _, reached := w.send(t, r)
			same := f.line == "" || strings.EqualFold(f.line, f.host)
			if len(reached) == 0 && response.StatusCode == http.StatusBadRequest && !same {
				continue
			}
			if response.StatusCode != http.StatusOK || len(reached) != 1 {
				t.Errorf("%q: status %d, it reached the application %d times", r.wire(), response.StatusCode, len(reached))
				continue
			}
			told := []string{f.host}
			if !same {
				told = append(told, f.line, withoutPort(f.line))
			}
			for _, header := range []string{"Host", "X-Forwarded-Host"} {
				got := reached[0].php(header)
				if _, ok := g.(haproxy); ok && header == "X-Forwarded-Host" && got == "" { // it does not tell
					continue
				}
				if !slices.ContainsFunc(told, func(s string) bool { return strings.EqualFold(s, got) }) {
					t.Errorf("%q: the application is told %s: %s", r.wire(), header, got)
				}
			}
		}
	})
}

// withoutPort returns a host without the port that it may have.
func withoutPort(host string) string {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		return host[:i]
	}
	return host
}
