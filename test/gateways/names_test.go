package gateways

import (
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"testing"
)

// identityNames are the headers that only a gateway may set.
var identityNames = []string{
	"X-Session-Id", "X-Session-User", "X-Session-Login", "X-Session-Org", "X-Session-Factors", "X-Session-Auth-Time", "X-Session-Expires", "X-Session-Stale",
	"X-Session-Assertion", "X-Session-Claim-Roles",
}

// separators are all characters that a header's name can have beside letters and digits (RFC 9110). Servers of CGI, WSGI and
// Rack applications make _ of some of them, or of all.
const separators = "-_.!#$%&'*+^`|~"

// spelling is a way to write the hyphens of a header's name, by what a gateway may know to drop.
type spelling struct {
	name string
	has  func(between string) bool // whether it is this one, by what stands in the places of the hyphens
	php  bool                      // whether PHP takes it for the name
}

// all says that between has only c.
func all(c string) func(between string) bool {
	return func(between string) bool { return strings.Trim(between, c) == "" }
}

// spellings are all that there are: the first that a name has is its own.
var spellings = []spelling{
	{"`-`", all("-"), true},
	{"`_`", all("_"), true},
	{"`.`", all("."), true},
	{"two or three of these", func(between string) bool {
		return all("-_.")(between) && strings.Trim(between, between[:1]) != ""
	}, true},
	{"any other", func(between string) bool { return !all("-_.")(between) }, false},
}

// spelled calls f with each way to write name, and with what stands in the places of the hyphens.
func spelled(name string, f func(written, between string)) {
	words := strings.Split(name, "-")
	between := make([]byte, len(words)-1)
	var next func(at int, written string)
	next = func(at int, written string) {
		if at == len(between) {
			f(written, string(between))
			return
		}
		for i := range len(separators) {
			between[at] = separators[i]
			next(at+1, written+separators[i:i+1]+words[at+1])
		}
	}
	next(0, words[0])
}

// forged returns the names that have a value of the client's, in the form that Go has for names, as they may have been written.
func (s *seen) forged() map[string]bool {
	names := map[string]bool{}
	for name, values := range s.header {
		if strings.Contains(strings.Join(values, ","), forged) {
			names[textproto.CanonicalMIMEHeaderKey(name)] = true
		}
	}
	return names
}

// TestSpoofing_IdentityHeaders sends identity headers in every spelling. None reaches the application; Oathkeeper knows its own
// names only, and docs/gateways.md says so.
func TestSpoofing_IdentityHeaders(t *testing.T) {
	forEach(t, gateways, func(t *testing.T, g gateway) {
		w := newWorld(t, g)
		v := w.ours.login(t, "spoof")
		for _, s := range spellings {
			want := "dropped"
			if _, ok := g.(oathkeeper); ok && s.name != "`-`" {
				want = "handed on"
			}
			if got := w.spoofs(t, v, s, identityNames); got != want {
				t.Errorf("%s in the place of a hyphen: %s, want %s", s.name, got, want)
			}
		}
	})
}

// TestSpoofing_ClaimsThatNoFileNames sends headers of claims that --verify-claims may name or not. A gateway that has no pattern for
// names hands them on, and docs/gateways.md says so.
func TestSpoofing_ClaimsThatNoFileNames(t *testing.T) {
	claims := []string{"X-Session-Claim-Department", "X-Session-Claim-Given-Name", "X-Session-Claim-N"}
	forEach(t, withGRPC, func(t *testing.T, g gateway) {
		w := newWorld(t, g)
		v := w.ours.login(t, "claims")
		for _, s := range spellings[:3] {
			want := "dropped"
			switch g.(type) {
			case nginx:
				if s.name == "`-`" {
					want = "handed on"
				}
			case oathkeeper:
				want = "handed on"
			}
			if got := w.spoofs(t, v, s, claims); got != want {
				t.Errorf("%s in the place of a hyphen: %s, want %s", s.name, got, want)
			}
		}
	})
}

// spoofs sends identity headers in a spelling, and returns whether they are dropped or handed on: none may reach the
// application, or all have to.
func (w *world) spoofs(t *testing.T, v *visitor, s spelling, identity []string) string {
	t.Helper()
	var names []string
	for _, name := range identity {
		spelled(name, func(written, between string) {
			if s.has(between) {
				names = append(names, []string{written, strings.ToLower(written), strings.ToUpper(written)}[len(names)%3])
			}
		})
	}
	reached := map[string]bool{}
	for some := range slices.Chunk(names, 40) { // HAProxy takes 101 headers
		var lines []string
		for _, name := range some {
			lines = append(lines, name+": "+forged, name+": ") // each is there more than once
		}
		w.refuses(t, request{lines: lines})
		r := request{lines: lines}.by(v)
		response, body, got := w.send(t, r)
		if response.StatusCode != http.StatusOK || len(got) != 1 {
			t.Fatalf("%q: status %d: %s", r.wire(), response.StatusCode, body)
		}
		handedOn := got[0].forged()
		if len(handedOn) == 0 {
			w.passed(t, r, v, got)
			continue
		}
		maps.Copy(reached, handedOn)
		for name, value := range w.wants(v) {
			if values := got[0].header.Values(name); !slices.Equal(values, []string{value}) || !s.php && got[0].php(name) != value {
				t.Errorf("the application saw %s %q, in $_SERVER %q, want %q", name, values, got[0].php(name), value)
			}
		}
	}
	if len(reached) == 0 {
		return "dropped"
	}
	for _, name := range names {
		if !reached[textproto.CanonicalMIMEHeaderKey(name)] {
			t.Errorf("%s does not reach the application, and others do", name)
		}
	}
	return "handed on"
}

// Before 3.7.12 Traefik knows no aliases: the expression of forwardAuth has every spelling.
func TestSpoofing_IdentityHeadersBeforeAnOldTraefik(t *testing.T) {
	t.Parallel()
	w := newWorld(t, traefik{edited(t, "traefik/traefik.yaml", func(conf object) object {
		delete(at[object](t, conf, "entryPoints/web/http"), "aliasHeadersStrategy")
		return conf
	})})
	v := w.ours.login(t, "old")
	for _, s := range spellings {
		if got := w.spoofs(t, v, s, identityNames); got != "dropped" {
			t.Errorf("%s in the place of a hyphen: %s", s.name, got)
		}
	}
}
