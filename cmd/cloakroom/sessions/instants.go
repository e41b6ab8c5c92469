package sessions

import (
	"strconv"
	"strings"
	"time"
)

// maxSpan is the largest distance of a relative instant from now; no session lasts longer.
const maxSpan = 150 * 365 * 24 * time.Hour

// units are those of a relative instant.
var units = map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}

// instant reads an instant as people write it: with a time of day and an offset (RFC 3339), a
// date, which is 00:00 UTC since all dates of the API are in UTC, now, or so long before now if
// sign is -1, after now if it is 1. words are text for the user: the instant, and for a relative one text as well.
func instant(text string, now time.Time, sign time.Duration) (at time.Time, words string, ok bool) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		_, err = at.MarshalText() // takes no offset of 24 hours, which Parse does
		return at.UTC(), text, err == nil && inRange(at)
	}
	if at, err := time.Parse(time.DateOnly, text); err == nil {
		return at, at.Format(time.RFC3339), inRange(at)
	}
	now = now.UTC().Truncate(time.Microsecond) // as the API has it
	if text == "now" {
		return now, now.Format(time.RFC3339Nano), true
	}
	span, ok := parseSpan(text)
	if !ok {
		return time.Time{}, "", false
	}
	at = now.Add(sign * span).Truncate(time.Second)
	if sign < 0 {
		return at, at.Format(time.RFC3339) + " (" + text + " ago)", true
	}
	return at, at.Format(time.RFC3339) + " (in " + text + ")", true
}

// inRange says whether the API takes at: it has the years 0001 to 9999.
func inRange(at time.Time) bool { year := at.UTC().Year(); return 1 <= year && year <= 9999 }

// instantForm says what instant takes.
func instantForm(sign time.Duration) string {
	side := "ago"
	if sign > 0 {
		side = "from now"
	}
	return "an instant (2026-01-31T12:00:00Z), a date (2026-01-31, which begins at 00:00 UTC), now, or a time " + side + " (90s, 15m, 2h, 3d, 1w or 1d12h)"
}

// parseSpan reads 2h, 3d or 1d12h.
func parseSpan(text string) (span time.Duration, ok bool) {
	for text != "" {
		digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
		if digits == 0 || digits == len(text) {
			return 0, false
		}
		n, err := strconv.ParseInt(text[:digits], 10, 64)
		unit := units[text[digits]]
		if err != nil || unit == 0 || n > int64((maxSpan-span)/unit) {
			return 0, false
		}
		span += time.Duration(n) * unit
		text = text[digits+1:]
		ok = true
	}
	return span, ok
}

// age says in one unit how long d is, cut: 59s, 3m, 47h, 12d.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return strconv.Itoa(int(d/time.Second)) + "s"
	case d < time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + "m"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d/time.Hour)) + "h"
	}
	return strconv.Itoa(int(d/(24*time.Hour))) + "d"
}
