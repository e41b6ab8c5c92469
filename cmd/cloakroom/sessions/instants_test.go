package sessions

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 3, 5, 12, 0, 0, 123456789, time.FixedZone("", 3600))

func TestInstantsAsPeopleWriteThem(t *testing.T) {
	f := func(text string, sign time.Duration, at, words string) {
		t.Helper()
		got, said, ok := instant(text, noon, sign)
		if !ok || got.UTC().Format(time.RFC3339Nano) != at || said != words {
			t.Errorf("%q: got %s, %q, %v, want %s, %q", text, got.UTC().Format(time.RFC3339Nano), said, ok, at, words)
		}
	}
	f("2026-01-31T12:00:00Z", -1, "2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z")
	f("2026-01-31T12:00:00.5+01:00", 1, "2026-01-31T11:00:00.5Z", "2026-01-31T12:00:00.5+01:00")
	f("2026-01-31", -1, "2026-01-31T00:00:00Z", "2026-01-31T00:00:00Z")
	f("now", -1, "2026-03-05T11:00:00.123456Z", "2026-03-05T11:00:00.123456Z")
	f("2h", -1, "2026-03-05T09:00:00Z", "2026-03-05T09:00:00Z (2h ago)")
	f("2h", 1, "2026-03-05T13:00:00Z", "2026-03-05T13:00:00Z (in 2h)")
	f("90s", -1, "2026-03-05T10:58:30Z", "2026-03-05T10:58:30Z (90s ago)")
	f("15m", -1, "2026-03-05T10:45:00Z", "2026-03-05T10:45:00Z (15m ago)")
	f("3d", -1, "2026-03-02T11:00:00Z", "2026-03-02T11:00:00Z (3d ago)")
	f("1w", 1, "2026-03-12T11:00:00Z", "2026-03-12T11:00:00Z (in 1w)")
	f("1d12h", -1, "2026-03-03T23:00:00Z", "2026-03-03T23:00:00Z (1d12h ago)")
	f("0s", -1, "2026-03-05T11:00:00Z", "2026-03-05T11:00:00Z (0s ago)")
	for _, bad := range []string{"", " ", "yesterday", "2", "h", "2x", "-2h", "+2h", "2h ago", "1.5h", "2 h", "2026-02-30", "2026-1-2", "12:00", "2026-01-31T12:00:00", "9999999999999999999w", "7830w", "100000w100000w", "2H", "2026-01-31T12:00:00+24:00", "0000-01-01", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"} {
		if at, _, ok := instant(bad, noon, -1); ok {
			t.Errorf("%q is taken for %s", bad, at)
		}
	}
}

// Whatever is written, the instant is at most maxSpan away, on the side that was asked for.
func TestRelativeInstantsAreBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`([0-9]{1,20}[smhdw]){1,4}`).Draw(t, "text")
		span, ok := parseSpan(text)
		if ok && (span < 0 || span > maxSpan) {
			t.Fatalf("%s is %s", text, span)
		}
		n, rest, _ := strings.Cut(text, "s")
		if rest == "" && len(n) < 9 && !ok && strings.Trim(n, "0123456789") == "" {
			t.Fatalf("%s is refused", text)
		}
	})
}

func TestAge(t *testing.T) {
	f := func(d time.Duration, want string) {
		t.Helper()
		if got := age(d); got != want {
			t.Errorf("%s: got %s, want %s", d, got, want)
		}
	}
	f(0, "0s")
	f(59*time.Second+999*time.Millisecond, "59s")
	f(time.Minute, "1m")
	f(59*time.Minute, "59m")
	f(time.Hour, "1h")
	f(47*time.Hour+59*time.Minute, "47h")
	f(48*time.Hour, "2d")
	f(400*24*time.Hour, "400d")
}
