package suggest

import "testing"

func TestNearest(t *testing.T) {
	names := []string{"redis-url", "redis-username", "http-addr", "admin-addr", "near-cache-bytes", "log-format", "pprof"}
	f := func(given, want string) {
		t.Helper()
		if got := Nearest(given, names); got != want {
			t.Errorf("%q: got %q, want %q", given, got, want)
		}
	}
	f("http-addr", "http-addr")
	f("http_addr", "http-addr")
	f("httpAddr", "http-addr")
	f("htpt-addr", "http-addr")
	f("http-address", "http-addr")
	f("HTTP-ADDR", "http-addr")
	f("http-port", "http-addr")
	f("redis-uri", "redis-url")
	f("log-fmt", "log-format")
	f("near-cache", "near-cache-bytes") // too far, but its beginning
	f("redis", "redis-url")
	f("prof", "pprof")
	f("x", "")
	f("", "")
	f("max-connections", "")
	if got := Nearest("serv", nil); got != "" {
		t.Errorf("got %q of no names", got)
	}
}

func TestEdits(t *testing.T) {
	f := func(a, b string, want int) {
		t.Helper()
		if got := edits(a, b); got != want {
			t.Errorf("%q, %q: got %d, want %d", a, b, got, want)
		}
		if got := edits(b, a); got != want {
			t.Errorf("%q, %q: got %d, want %d", b, a, got, want)
		}
	}
	f("", "", 0)
	f("", "abc", 3)
	f("abc", "abc", 0)
	f("abc", "abd", 1)
	f("abc", "acb", 1)
	f("abc", "ab", 1)
	f("abcd", "badc", 2)
	f("kitten", "sitting", 3)
}
